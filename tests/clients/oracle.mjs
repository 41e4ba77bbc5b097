// What another SOQL parser makes of each query: null where it refuses it, else its clauses in a flat form.
import { readFileSync } from 'node:fs';
import { parseQuery } from '@jetstreamapp/soql-parser-js';

const KINDS = { INTEGER: 'number', DECIMAL: 'number', DATE_LITERAL: 'relative', DATE_N_LITERAL: 'relative' };
const kind = (type) => KINDS[type] ?? type.toLowerCase();

function literals({ value, literalType, valueQuery }) {
  if (valueQuery) return ['query', clauses(valueQuery)];
  const values = [value].flat();
  const types = [literalType].flat();
  return values.map((_, n) => kind(types[n] ?? types[0] ?? 'unknown'));
}

function conditions(where) {
  const found = [];
  for (let node = where; node; node = node.right) {
    if (node.left?.operator) found.push([node.left.field ?? '?', node.left.operator, literals(node.left)]);
    if (node.operator) found.push(node.operator);
  }
  return found;
}

const clauses = (query) => ({
  fields: query.fields.map((field) => field.rawValue ?? field.field ?? '?'),
  object: query.sObject,
  conditions: conditions(query.where),
  order: (query.orderBy ?? []).map(({ field, order, nulls }) => [field ?? '?', order ?? 'ASC', nulls ?? 'FIRST']),
  limit: query.limit ?? null,
  offset: query.offset ?? 0,
});

function verdict(soql) {
  try {
    return clauses(parseQuery(soql));
  } catch {
    return null;
  }
}

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, 'utf8')).map(verdict)));
