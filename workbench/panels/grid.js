// The people grid: a plain HTML table over one page of rows that Python sends, and messages about what was pressed.
// It knows positions on the page, never ids; Python checks every message. Text enters the page as textContent only.

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function filled(template, values) {
  return template.replace(/\{(\w+)\}/g, (_place, name) => values[name]);
}

function button(label, press) {
  const made = make("button", { type: "button", class: "jupyter-button cw-button" }, label);
  made.addEventListener("click", press);
  return made;
}

// -- filters: built once, so that typing never loses its place ---------------------------------------------------------------

function filterField(field, words, changed) {
  const input =
    field.kind === "choice"
      ? make("select", {}, ...field.choices.map(([value, label]) => make("option", { value }, label)))
      : make("input", { type: field.kind === "date" ? "date" : "search", autocomplete: "off", spellcheck: "false" });
  input.setAttribute("aria-label", filled(words.filter, { label: field.label }));
  input.dataset.name = field.name;
  let timer;
  const later = (delay) => {
    clearTimeout(timer);
    timer = setTimeout(changed, delay);
  };
  input.addEventListener("input", () => later(field.kind === "text" ? 300 : 0));
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") later(0);
  });
  const caption = make("span", { "aria-hidden": "true" }, field.label[0].toUpperCase() + field.label.slice(1));
  return { input, node: make("label", { class: "cw-filter" }, caption, input) };
}

function filterForm(fields, words, send) {
  const made = fields.map((field) => filterField(field, words, changed));
  function values() {
    return Object.fromEntries(made.map(({ input }) => [input.dataset.name, input.value]));
  }
  function changed() {
    send({ act: "filter", filters: values() });
  }
  function show(filters) {
    for (const { input } of made) {
      const value = filters[input.dataset.name] ?? "";
      if (document.activeElement !== input && input.value !== value) input.value = value;
    }
  }
  function clear() {
    for (const { input } of made) input.value = "";
  }
  return { node: make("div", { class: "cw-filters", role: "search", "aria-label": words.filters }, ...made.map((f) => f.node)), show, clear };
}

// -- the table ---------------------------------------------------------------------------------------------------------------

function header(column, view, send) {
  if (!column.sortable) return make("th", { scope: "col", class: column.number ? "cw-number" : "" }, column.label);
  const sorted = view.sort === column.name;
  const direction = sorted ? (view.descending ? "descending" : "ascending") : "none";
  const arrow = make("span", { "aria-hidden": "true", class: "cw-arrow" }, sorted ? (view.descending ? "▼" : "▲") : "");
  const press = button(column.label, () => send({ act: "sort", column: column.name }));
  press.className = "cw-sort";
  press.dataset.sort = column.name;
  press.append(arrow);
  return make("th", { scope: "col", "aria-sort": direction, class: column.number ? "cw-number" : "" }, press);
}

function headRow(view, columns, words, send) {
  const all = make("input", { type: "checkbox", "aria-label": words.select_page });
  const chosen = view.selected.filter(Boolean).length;
  all.checked = chosen > 0 && chosen === view.rows.length;
  all.indeterminate = chosen > 0 && chosen < view.rows.length;
  all.addEventListener("change", () => send({ act: "select_page", view: view.number, on: all.checked }));
  const card = make("th", { scope: "col" }, words.card);
  return make("tr", {}, make("th", { scope: "col", class: "cw-check" }, all), card, ...columns.map((c) => header(c, view, send)));
}

function bodyRow(cells, index, view, columns, words, send) {
  const box = make("input", { type: "checkbox", tabindex: "-1", "aria-label": filled(words.select, { person: cells[0] }) });
  box.checked = view.selected[index];
  box.addEventListener("change", () => send({ act: "select", view: view.number, row: index, on: box.checked }));
  const open = button(words.open, () => send({ act: "open", view: view.number, row: index }));
  open.className = "cw-open";
  open.tabIndex = -1;
  open.setAttribute("aria-label", filled(words.open_card, { person: cells[0] }));
  const tds = cells.map((text, i) => make("td", { class: columns[i].number ? "cw-number" : "" }, text));
  const attributes = { tabindex: "-1", "aria-selected": String(Boolean(view.selected[index])), "data-row": index };
  return make("tr", attributes, make("td", { class: "cw-check" }, box), make("td", {}, open), ...tds);
}

function keyboard(table, state, send) {
  const rows = () => [...table.tBodies[0].rows].filter((row) => row.dataset.row !== undefined);
  const focus = (index) => {
    const all = rows();
    state.row = Math.max(0, Math.min(index, all.length - 1));
    all.forEach((row, i) => (row.tabIndex = i === state.row ? 0 : -1));
    all[state.row]?.focus();
  };
  table.addEventListener("focusin", (event) => {
    const row = event.target.closest("tr[data-row]");
    if (row) {
      state.row = Number(row.dataset.row);
      rows().forEach((r) => (r.tabIndex = r === row ? 0 : -1));
    }
  });
  table.addEventListener("keydown", (event) => {
    const row = event.target.closest("tr[data-row]");
    if (!row) return;
    const here = Number(row.dataset.row);
    const view = state.view;
    const onRow = event.target === row;
    const moves = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: view.rows.length - 1 };
    if (event.key in moves) focus(moves[event.key]);
    else if (event.key === "PageDown" && view.has_next) send({ act: "page", to: "next" });
    else if (event.key === "PageUp" && view.has_previous) send({ act: "page", to: "previous" });
    else if (event.key === " " && onRow) send({ act: "select", view: view.number, row: here, on: !view.selected[here] });
    else if (event.key === "Enter" && onRow) send({ act: "open", view: view.number, row: here });
    else if (!["PageDown", "PageUp"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
  });
}

function render({ model, el }) {
  const send = (message) => model.send(message);
  const columns = model.get("columns");
  const words = model.get("words"); // in the language of the workspace
  const state = { view: model.get("view"), row: 0 };
  el.classList.add("cw-grid");

  const filters = filterForm(model.get("fields"), words, send);
  const all = button("", () => send({ act: "select_all" }));
  const none = button(words.clear_selection, () => send({ act: "clear_selection" }));
  const reset = button(words.clear_filters, () => {
    filters.clear();
    send({ act: "clear_filters" });
  });
  const chosen = make("span", { class: "cw-chosen" });
  const caption = make("caption", {});
  const head = make("thead");
  const body = make("tbody");
  const table = make("table", { class: "cw-table", role: "grid", "aria-multiselectable": "true" }, caption, head, body);
  const steps = ["first", "previous", "next", "last"].map((to) => button(words[to], () => send({ act: "page", to })));
  const where = make("span", { class: "cw-where" });
  const pages = make("div", { class: "cw-bar", role: "group", "aria-label": words.pages }, ...steps, where);
  const tools = make("div", { class: "cw-bar", role: "group", "aria-label": words.selection }, all, none, reset, chosen);
  el.append(filters.node, tools, make("div", { class: "cw-scroll" }, table), pages);
  keyboard(table, state, send);

  function restoreFocus(held) {
    if (!held) return;
    if (held.sort) head.querySelector(`[data-sort="${held.sort}"]`)?.focus();
    else if (held.page) head.querySelector("input")?.focus();
    else {
      const row = body.rows[Math.min(held.row, body.rows.length - 1)];
      if (held.box) row?.querySelector("input")?.focus();
      else row?.focus();
    }
  }

  function held() {
    const active = document.activeElement;
    if (!table.contains(active)) return null;
    if (active.dataset.sort) return { sort: active.dataset.sort };
    if (head.contains(active)) return { page: true };
    return { row: state.row, box: active.type === "checkbox" };
  }

  function paint() {
    const view = (state.view = model.get("view"));
    const focus = held();
    const pressed = steps.find((step) => step === document.activeElement);
    filters.show(view.filters);
    all.textContent = filled(words.select_all, { count: view.count_text });
    all.disabled = view.count === 0;
    none.disabled = view.chosen === 0;
    chosen.textContent = view.chosen_text;
    caption.textContent = view.caption;
    where.textContent = view.where;
    head.replaceChildren(headRow(view, columns, words, send));
    body.replaceChildren(...view.rows.map((cells, i) => bodyRow(cells, i, view, columns, words, send)));
    if (view.rows.length === 0) body.append(make("tr", {}, make("td", { colspan: columns.length + 2 }, view.empty)));
    state.row = Math.max(0, Math.min(state.row, view.rows.length - 1));
    if (body.rows[state.row]?.dataset.row !== undefined) body.rows[state.row].tabIndex = 0;
    [steps[0].disabled, steps[1].disabled] = [!view.has_previous, !view.has_previous];
    [steps[2].disabled, steps[3].disabled] = [!view.has_next, !view.has_next];
    if (pressed?.disabled) steps.find((step) => !step.disabled)?.focus(); // a button that turns grey must not swallow the focus
    restoreFocus(focus);
  }

  model.on("change:view", paint);
  paint();
}

export default { render };
