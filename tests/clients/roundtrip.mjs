// The real jsforce against a scratch org. Order: where it is and which records; result: what jsforce returned, by name.
import { readFileSync } from 'node:fs';
import jsforce from 'jsforce';

const order = JSON.parse(readFileSync(0, 'utf8'));
const steps = {};

const rows = (found) => found.map(({ attributes, ...fields }) => ({ type: attributes.type, ...fields }));
const failure = ({ name, message, errorCode }) => ({ name, message, errorCode });

async function refused(promise) {
  try {
    return { unexpected: await promise };
  } catch (error) {
    return failure(error);
  }
}

function withToken(accessToken) {
  return new jsforce.Connection({ instanceUrl: order.url, accessToken, version: order.version });
}

async function withCredentials(clientSecret) {
  const oauth2 = { loginUrl: order.url, clientId: order.client_id, clientSecret };
  const connection = new jsforce.Connection({ oauth2, instanceUrl: order.url, version: order.version });
  const user = await connection.authorize({ grant_type: 'client_credentials' });
  return { connection, user };
}

steps.login = async () => {
  const { connection, user } = await withCredentials(order.client_secret);
  const identity = await connection.request('/services/oauth2/userinfo');
  return {
    user,
    identity,
    instance: connection.instanceUrl,
    wrongSecret: await refused(withCredentials('wrong')),
    wrongToken: await refused(withToken('00Dwrong').query('SELECT Id FROM User')),
  };
};

steps.logout = async () => {
  const { connection } = await withCredentials(order.client_secret);
  const identity = await connection.identity();
  const token = connection.accessToken;
  await connection.oauth2.revokeToken(token);
  return { user: identity.user_id, after: await refused(withToken(token).query('SELECT Id FROM User')) };
};

steps.query = async (org) => {
  const found = await org.query("SELECT Id, Name, Owner.Name, CreatedDate FROM Lead WHERE Email = 'ASA@example.com'");
  const error = await refused(org.query('SELECT Nope FROM Lead'));
  const count = await org.query('SELECT COUNT() FROM Lead');
  return { found, error, count: count.totalSize, limit: org.limitInfo.apiUsage };
};

steps.pages = async (org) => {
  const soql = 'SELECT Id FROM Contact ORDER BY Id';
  const first = await org.query(soql, { autoFetch: false });
  const second = await org.queryMore(first.nextRecordsUrl);
  const small = await org.query(soql, { autoFetch: false, headers: { 'Sforce-Query-Options': 'batchSize=200' } });
  const every = await org.query(soql, { autoFetch: true, maxFetch: 100000 });
  return {
    first: [first.totalSize, first.done, first.records.length],
    second: [second.totalSize, second.done, second.records.length],
    small: [small.totalSize, small.done, small.records.length],
    every: [every.totalSize, every.done, every.records.length],
    ids: new Set([...first.records, ...second.records].map((r) => r.Id)).size,
    same: new Set(every.records.map((r) => r.Id)).size,
    stale: await refused(org.queryMore('01gnothing0000-2000')),
  };
};

steps.builder = async (org) => {
  const found = await org
    .sobject('Lead')
    .find({ HasOptedOutOfEmail: true, LastName: { $like: 'Le%' } }, ['Id', 'Email'])
    .sort({ Email: 1 })
    .limit(5);
  return rows(found);
};

steps.queryAll = async (org) => {
  const soql = "SELECT Id, IsDeleted FROM Lead WHERE Email = 'gone@example.com'";
  const [seen, unseen] = [await org.query(soql, { scanAll: true }), await org.query(soql)];
  return { seen: rows(seen.records), unseen: unseen.totalSize };
};

steps.retrieve = async (org) => {
  const [first, second] = order.leads;
  const one = await org.sobject('Lead').retrieve(first);
  const some = await org.sobject('Lead').retrieve([first, second], { fields: ['Id', 'Email'] });
  return { one, some: rows(some), missing: await refused(org.sobject('Lead').retrieve(order.absent)) };
};

steps.update = async (org) => {
  const [first, second] = order.leads;
  const lead = org.sobject('Lead');
  const one = await lead.update({ Id: first, Title: 'Owner' });
  const many = await lead.update([
    { Id: first, Title: 'Both' },
    { Id: second, Title: 'Both' },
    { Id: order.absent, Title: 'Both' },
  ]);
  const allOrNone = await lead.update(
    [
      { Id: first, Title: 'None' },
      { Id: order.absent, Title: 'None' },
    ],
    { allOrNone: true },
  );
  const after = await lead.retrieve([first, second], { fields: ['Title'] });
  const refusedField = await refused(lead.update({ Id: first, Nope: 1 }));
  return { one, many, allOrNone, after: rows(after), refusedField };
};

// A conditional write, as clearing an opt-out needs it; jsforce has no call of its own for it.
steps.conditional = async (org) => {
  const id = order.leads[0];
  const write = (HasOptedOutOfEmail, since) =>
    org.request({
      method: 'PATCH',
      url: `/sobjects/Lead/${id}`,
      body: JSON.stringify({ HasOptedOutOfEmail }),
      headers: { 'Content-Type': 'application/json', 'If-Unmodified-Since': since },
    });
  const read = () => org.sobject('Lead').retrieve(id, { fields: ['HasOptedOutOfEmail', 'SystemModstamp'] });
  const before = await read();
  const stamp = new Date(before.SystemModstamp).toUTCString();
  const stale = await refused(write(true, new Date(Date.parse(before.SystemModstamp) - 60000).toUTCString()));
  const untouched = await read();
  const fresh = (await write(true, stamp)) ?? null;
  const written = await read();
  return {
    stale,
    fresh,
    invalid: await refused(write(false, 'last Tuesday')),
    flags: [before, untouched, written, await read()].map((r) => r.HasOptedOutOfEmail),
  };
};

steps.rows = async (org) => {
  const lead = org.sobject('Lead');
  const one = await lead.create({ LastName: 'Brand', Company: 'New', Email: 'new@example.com' });
  const many = await lead.create([
    { LastName: 'Second', Company: 'New' },
    { LastName: 'Third', Company: 'New' },
  ]);
  const incomplete = await refused(lead.create({ Company: 'Nameless' }));
  const count = async () => (await org.query("SELECT COUNT() FROM Lead WHERE Company = 'New'")).totalSize;
  const before = await count();
  const gone = await lead.destroy(one.id);
  const goneToo = await lead.destroy(many.map((r) => r.id));
  const again = await refused(lead.retrieve(one.id));
  return { one, many, incomplete, before, gone, goneToo, after: await count(), again };
};

// Made and deleted here, looked for in `changes`, which another run does a minute later.
steps.passing = async (org) => {
  const made = await org.sobject('Lead').create({ LastName: 'Passing', Company: 'By' });
  return org.sobject('Lead').destroy(made.id);
};

steps.changes = async (org) => {
  const until = new Date(order.now);
  const before = (seconds) => new Date(until - seconds * 1000);
  const lead = org.sobject('Lead');
  return {
    updated: await lead.updated(before(3600), until),
    deleted: await lead.deleted(before(3600), until),
    tooLong: await refused(lead.updated(before(40 * 86400), until)),
  };
};

steps.describe = async (org) => {
  const lead = await org.sobject('Lead').describe();
  const flag = lead.fields.find((f) => f.name === 'HasOptedOutOfEmail');
  const all = await org.describeGlobal();
  return { name: lead.name, prefix: lead.keyPrefix, fields: lead.fields.length, flag, objects: all.sobjects.map((s) => s.name) };
};

steps.versions = async (org) => (await org.request('/services/data')).map((v) => v.version);

steps.limits = async (org) => org.limits();

steps.bulkQuery = async (org) => {
  org.bulk2.pollInterval = 20;
  org.bulk2.pollTimeout = 30000;
  const stream = await org.bulk2.query('SELECT Id, Email, HasOptedOutOfEmail, CreatedDate FROM Contact');
  const found = await stream.toArray();
  const deleted = await org.bulk2.query("SELECT Id, IsDeleted FROM Lead WHERE Email = 'gone@example.com'", { scanAll: true });
  return {
    first: found[0],
    size: found.length,
    ids: new Set(found.map((r) => r.Id)).size,
    deleted: await deleted.toArray(),
    refused: await refused(org.bulk2.query('SELECT Nope FROM Lead')),
  };
};

steps.bulkIngest = async (org) => {
  const polls = { pollInterval: 20, pollTimeout: 30000 };
  const work = (object, operation, input) => org.bulk2.loadAndWaitForResults({ object, operation, input, ...polls });
  const made = await work('Lead', 'insert', [
    { LastName: 'Wójcik', Company: 'In "bulk", Ltd.', Email: 'wojcik@example.com' },
    { LastName: 'Nguyễn', Company: 'In bulk', Email: 'nguyen@example.com' },
    { LastName: '', Company: 'In bulk', Email: 'nameless@example.com' },
  ]);
  const ids = made.successfulResults.map((r) => r.sf__Id);
  const rows = [...ids, order.absent].map((id) => `${id},true,#N/A\n`).join('');
  const set = await work('Lead', 'update', `Id,HasOptedOutOfEmail,Email\n${rows}`);
  const read = () => org.sobject('Lead').retrieve(ids, { fields: ['LastName', 'Company', 'Email', 'HasOptedOutOfEmail'] });
  const after = (await read()).map(({ attributes, ...fields }) => fields);
  const gone = await work('Lead', 'delete', ids.map((Id) => ({ Id })));
  const left = await org.query(`SELECT COUNT() FROM Lead WHERE Id IN ('${ids.join("','")}')`);
  const aborted = org.bulk2.createJob({ object: 'Lead', operation: 'update' });
  await aborted.open();
  await aborted.abort();
  const state = (await aborted.check()).state;
  await aborted.delete();
  return { made, set, after, gone, left: left.totalSize, state, check: await refused(org.bulk2.job('ingest', { id: aborted.id }).check()) };
};

const org = withToken(order.access_token);
const found = {};
for (const name of order.steps) {
  try {
    found[name] = { value: await steps[name](org) };
  } catch (error) {
    found[name] = { failed: `${error.name}: ${error.message}\n${error.stack}` };
  }
}
process.stdout.write(JSON.stringify(found));
