"""Commands around the workspace itself: create, demonstrate, upgrade, open in JupyterLab, and the scratch org."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from workbench.cli.output import write
from workbench.cli.session import FINE, Session, code, opened
from workbench.cli.talk import say
from workbench.counted import counted

PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def add_to(app: typer.Typer) -> None:
    """Hang this room's commands into the tree."""
    app.command("init")(init)
    app.command("demo")(demo)
    app.command("lab")(lab)
    scratch = typer.Typer(help="A Salesforce org on this computer, for trials.", rich_markup_mode=None, no_args_is_help=True)
    scratch.callback()(_group)
    scratch.command("serve", context_settings=PASSED_ON, add_help_option=False)(serve)
    app.add_typer(scratch, name="scratch-org")
    store = typer.Typer(help="The register's database.", rich_markup_mode=None, no_args_is_help=True)
    store.callback()(_group)
    store.command("upgrade")(upgrade)
    store.command("copy")(copy)
    store.command("roles")(roles)
    store.command("snapshot")(snapshot)
    app.add_typer(store, name="store")


def _group() -> None:
    """Keeps a group of one command a group."""


def init(  # noqa: PLR0917 - the options of one command
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="The new workspace's folder.")] = Path(),
    name: Annotated[
        str, typer.Option("--name", help="What the workspace and its trail are called (else after the folder).")
    ] = "",
    org_kind: Annotated[
        Literal["scratch", "sandbox", "production"], typer.Option("--org-kind", help="What kind of org it is bound to.")
    ] = "scratch",
    org_url: Annotated[
        str, typer.Option("--org-url", help="The org's address, such as https://yourcompany.my.salesforce.com.")
    ] = "",
    controller: Annotated[str, typer.Option("--controller", help="Who may rely on consents: the organisation's name.")] = "",
    database: Annotated[
        str, typer.Option("--database", help="An empty PostgreSQL database for the register: postgresql://user@host/name.")
    ] = "",
) -> int:
    """Create a workspace. You become its first administrator; nothing is asked."""
    from workbench.bench import Workbench

    with Workbench.init(directory, name=name, kind=org_kind, url=org_url, controller=controller, database=database) as wb:
        folder, operator, kept_in = wb.workspace, wb.operator, wb.trail.key_kept_in
    write(f"{folder}\n")
    say(f"The workspace is ready; {operator} is its administrator. Next: {_next_step(org_kind, org_url)}.")
    say(f"The key that signs the trail is kept in {kept_in}.")
    return FINE


def _next_step(kind: str, url: str) -> str:
    """What to do with a new workspace; a scratch org leaves its login where its user finds it."""
    if kind != "scratch":
        login = (
            "`workbench org login`" if url else "write the org's address to `url` in workbench.toml, then `workbench org login`"
        )
        return f"fill in policy.toml, then in that folder {login}"
    if url:
        return (
            "fill in policy.toml, then in that folder `workbench org check` and `workbench org pull --full`; no login is needed"
        )
    return "start an org with `workbench scratch-org serve` and write its address to `url` in workbench.toml; no login is needed"


def demo(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where the demonstration keeps its workspace.")] = Path(
        "demo"
    ),
    serve_lab: Annotated[bool, typer.Option("--lab/--no-lab", help="Open JupyterLab on the workspace afterwards.")] = False,
) -> int:
    """Run the whole job on a scratch org. Invented people; import, review, propose, approve, run, sync, report, verify."""
    from workbench import demo as demonstration

    with demonstration.prepare(directory) as stage:
        fine = demonstration.run(stage, lambda line: write(f"{line}\n"))
        if serve_lab:
            from workbench import lab as jupyter

            jupyter.serve(stage.wb.workspace)
    return code(not fine)


def lab(
    ctx: typer.Context,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="The port on 127.0.0.1 (0: Jupyter's own, or the next free).")
    ] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
) -> int:
    """Open JupyterLab on the workspace. Ctrl-C ends it."""
    from workbench import lab as jupyter

    with opened(ctx) as wb:
        folder = wb.workspace
    jupyter.serve(folder, port=port, open_browser=browser)
    return FINE


def serve(ctx: typer.Context) -> int:
    """Serve a scratch org. Prints one JSON line when it is ready; --help shows its options."""
    from workbench.scratch_org.__main__ import main

    return main(list(ctx.args))


def upgrade(ctx: typer.Context) -> int:
    """Bring the database to this version's schema. Make a backup first."""
    from workbench.settings import find_workspace, read_settings
    from workbench.store.database import Store

    store = Store(read_settings(find_workspace(ctx.ensure_object(Session).workspace)).database)
    try:
        with store.read():
            pass  # a register that is missing is to be restored, not begun anew
        store.upgrade()
        store.check_version()
    finally:
        store.close()
    say("The register has this version's schema.")
    return FINE


def copy(
    ctx: typer.Context,
    to: Annotated[str, typer.Option("--to", help="An empty PostgreSQL database: postgresql://user@host/name.")],
) -> int:
    """Move the register from its file to a database."""
    with opened(ctx) as wb:
        counts = wb.copy_register(to)
    for name, rows in counts.items():
        write(f"{name}\t{rows}\n")
    say(f"{sum(counts.values()):,} rows of {len(counts)} tables were copied, and every one was compared.")
    say("workbench.toml names the new database. The old register.db stays as it was and takes no further entries.")
    return FINE


def roles(ctx: typer.Context) -> int:
    """Make the database's roles and print what each may do."""
    from workbench.settings import find_workspace, read_settings
    from workbench.store.database import Store
    from workbench.store.roles import set_up

    store = Store(read_settings(find_workspace(ctx.ensure_object(Session).workspace)).database)
    try:
        granted = set_up(store)
    finally:
        store.close()
    for role, table, what in granted:
        write(f"{role}\t{table}\t{what}\n")
    made = sorted({role for role, _, _ in granted})
    say(f"{len(made)} roles have {len(granted)} grants. Make each operator's login a member of one: {', '.join(made)}.")
    return FINE


def snapshot(
    ctx: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder for its files.")],
) -> int:
    """Write what an engine needs to compare both sides. Parquet files without names and addresses; see `mismatches --engine`."""
    with opened(ctx) as wb:
        made = wb.snapshot(directory)
    for name, rows in made.rows.items():
        write(f"{name}\t{rows}\n")
    say(
        f"{counted(sum(made.rows.values()), 'row')} were written. Compare them: `workbench mismatches --engine duckdb:// --snapshot DIR`."
    )
    return FINE
