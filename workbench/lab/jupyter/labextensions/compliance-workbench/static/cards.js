// Cards in JupyterLab's launcher that open the workbench's notebooks and run them.
//
// A prebuilt extension written by hand, so that nothing has to be bundled: JupyterLab loads this script, hands `init` the modules that
// it shares, and asks `get` for the plugin.
"use strict";

window._JUPYTERLAB = window._JUPYTERLAB || {};
window._JUPYTERLAB["compliance-workbench"] = (() => {
  const OPEN = "compliance-workbench:open";
  const CATEGORY = "Compliance Workbench";
  const CARDS = [
    ["00-start-here", "Start", "Is everything in order, and where do I go on?"],
    ["01-review-unsubscribed", "Unsubscribed", "Who is unsubscribed, and where?"],
    ["02-batch-resubscribe", "Resubscribe", "Whom may we mail again, and how do we record it?"],
    ["03-mismatches", "Mismatches", "Where do register and Salesforce disagree?"],
    ["04-audit-trail", "Audit trail", "What was done, by whom, and can we prove it?"],
  ];
  let shared = {};

  // A module that JupyterLab shares; there is one version of each.
  async function ofLab(name) {
    const [version] = Object.values(shared[name]);
    return (await version.get())();
  }

  // Open a notebook and run it. One whose panel is there already is only brought to the front: what was chosen in it stays.
  async function open(app, path) {
    const notebook = await app.commands.execute("docmanager:open", { path });
    if (!notebook.node.querySelector(".cw-panel")) {
      run(app, notebook).catch((error) => console.error(error));
    }
    return notebook;
  }

  async function run(app, notebook) {
    await notebook.context.ready;
    await notebook.sessionContext.ready;
    if (app.shell.currentWidget === notebook) {
      await app.commands.execute("notebook:run-all-cells");
    }
  }

  async function plugin() {
    const [{ ILauncher }, { notebookIcon }] = await Promise.all([ofLab("@jupyterlab/launcher"), ofLab("@jupyterlab/ui-components")]);
    return {
      id: "compliance-workbench:cards",
      description: "Cards in the launcher that open the workbench's notebooks.",
      autoStart: true,
      requires: [ILauncher],
      activate: (app, launcher) => {
        app.commands.addCommand(OPEN, {
          label: (card) => card.label || "Open a notebook of the workbench",
          caption: (card) => card.question || "",
          icon: notebookIcon,
          execute: (card) => open(app, card.path || "00-start-here.ipynb"),
        });
        CARDS.forEach(([name, label, question], rank) => {
          launcher.add({ command: OPEN, category: CATEGORY, categoryRank: -1, rank, args: { path: `${name}.ipynb`, label, question } });
        });
      },
    };
  }

  return {
    init: (scope) => {
      shared = scope;
    },
    get: async () => {
      const made = await plugin();
      return () => ({ __esModule: true, default: made });
    },
  };
})();
