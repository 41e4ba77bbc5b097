// The line under every panel: one sentence, in words as well as colour, and a progress bar while something runs.
// Text enters the page as textContent only.

function suppressShortcuts(el, triesLeft) {
  // Lab's notebook shortcuts (a inserts a cell, r turns the panel's cell into text) must not fire while somebody works inside a
  // panel. Many of their selectors end in :focus and match the focused element before its parents are looked at, so a mark on the
  // panel alone does not stop them: whatever takes the focus is marked.
  const panel = el.closest(".cw-panel");
  const mark = (node) => node.setAttribute("data-lm-suppress-shortcuts", "true");
  if (panel) {
    mark(panel);
    panel.addEventListener("focusin", (event) => mark(event.target));
  } else if (triesLeft > 0) setTimeout(() => suppressShortcuts(el, triesLeft - 1), 100);
}

function element(tag, className, parent) {
  const made = document.createElement(tag);
  made.className = className;
  parent.append(made);
  return made;
}

function render({ model, el }) {
  const box = element("div", "cw-status-box", el);
  const progress = element("div", "cw-progress", box);
  const bar = element("progress", "", progress);
  const words = model.get("words"); // in the language of the workspace
  bar.setAttribute("aria-label", words.progress);
  const numbers = element("span", "", progress);
  const line = element("p", "cw-status", box);
  line.setAttribute("role", "status");

  function paint() {
    const tone = model.get("tone");
    box.dataset.tone = tone;
    const word = document.createElement("strong");
    word.textContent = words[tone] ? words[tone] + " " : "";
    const advice = document.createElement("span");
    advice.className = "cw-advice";
    advice.textContent = model.get("advice") ? " " + model.get("advice") : "";
    line.replaceChildren(word, document.createTextNode(model.get("sentence")), advice);
    paintProgress();
  }

  function paintProgress() {
    const total = model.get("total");
    progress.hidden = model.get("tone") !== "working";
    if (total > 0) {
      bar.max = total;
      bar.value = model.get("done");
    } else {
      bar.removeAttribute("value");
    }
    const form = new Intl.NumberFormat(words.language);
    const left = model.get("left") ? ", " + model.get("left") : "";
    numbers.textContent = total > 0 ? `${form.format(model.get("done"))} ${words.of} ${form.format(total)}${left}` : "";
  }

  for (const name of ["tone", "sentence", "advice"]) model.on(`change:${name}`, paint);
  for (const name of ["done", "total", "left"]) model.on(`change:${name}`, paintProgress);
  paint();
  suppressShortcuts(el, 50);
}

export default { render };
