"""The entry point: `karman`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeAlias

import typer

from karman_cli.commands import graph, keys, profiles, quotas, triggers, webhooks
from karman_cli.commands.apply import apply
from karman_cli.commands.audit import audit
from karman_cli.commands.backup import backup
from karman_cli.commands.cancel import cancel
from karman_cli.commands.deploy import deploy, destroy
from karman_cli.commands.dev import dev
from karman_cli.commands.doctor import doctor
from karman_cli.commands.export import export
from karman_cli.commands.login import login, logout
from karman_cli.commands.logs import logs
from karman_cli.commands.pause import pause
from karman_cli.commands.purge import purge
from karman_cli.commands.redrive import redrive
from karman_cli.commands.redrive_dead_letters import redrive_dead_letters
from karman_cli.commands.rerun import rerun
from karman_cli.commands.resume import resume
from karman_cli.commands.retry import retry
from karman_cli.commands.run import run
from karman_cli.commands.runs import runs
from karman_cli.commands.show import show
from karman_cli.commands.signal import signal
from karman_cli.commands.skip import skip
from karman_cli.commands.stats import stats
from karman_cli.commands.trigger import trigger
from karman_cli.commands.version import version
from karman_cli.commands.worker import worker
from karman_cli.group import Commands, Listing
from karman_cli.operating import EPILOG

app = typer.Typer(
    cls=Commands,
    help="Karman: an orchestrator for agents and data pipelines.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Command: TypeAlias = Callable[..., int | None]


def _print_version(asked: bool) -> None:  # noqa: FBT001  typer's
    if asked:
        version()
        raise typer.Exit


@app.callback()
def karman(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="The same as `version`.")
    ] = False,
) -> None:
    """Options of all commands; each command has its own."""


HERE: tuple[Command, ...] = (run, dev, worker, deploy, destroy, login, logout, version)
RUNS = (trigger, runs, show, logs, stats, signal, cancel, pause, resume, retry, rerun, skip, redrive, purge)
OPERATING: tuple[Command, ...] = (apply, *RUNS, export, redrive_dead_letters, audit, doctor, backup)
GROUPS: dict[str, tuple[str, dict[str, Command]]] = {
    "triggers": (
        "Cron triggers of graphs; lists them without a command.",
        {
            "list": triggers.list_triggers,
            "next": triggers.next_firings,
            "enable": triggers.enable_trigger,
            "disable": triggers.disable_trigger,
            "fire": triggers.fire_trigger,
            "reconcile": triggers.reconcile_triggers,
        },
    ),
    "keys": (
        "API keys of a namespace; lists them without a command.",
        {
            "list": keys.list_keys,
            "create": keys.create_key,
            "rotate": keys.rotate_key,
            "delete": keys.delete_key,
        },
    ),
    "webhooks": (
        "Where events of runs are sent; lists them without a command.",
        {
            "list": webhooks.list_webhooks,
            "add": webhooks.add_webhook,
            "show": webhooks.show_webhook,
            "test": webhooks.test_webhook,
            "rotate": webhooks.rotate_webhook,
            "enable": webhooks.enable_webhook,
            "disable": webhooks.disable_webhook,
            "delete": webhooks.delete_webhook,
            "deliveries": webhooks.list_deliveries,
            "retry": webhooks.retry_delivery,
        },
    ),
}

for command in HERE:
    app.command()(command)
for command in OPERATING:
    app.command(epilog=EPILOG)(command)
for group, (text, members) in GROUPS.items():
    sub = typer.Typer(cls=Listing, help=text)
    for name, command in members.items():
        sub.command(name, epilog=EPILOG)(command)
    app.add_typer(sub, name=group)

graph_app = typer.Typer(help="Check, draw, print and delete graphs.", no_args_is_help=True)
graph_app.command()(graph.validate)
graph_app.command()(graph.draw)
graph_app.command()(graph.show)
graph_app.command(epilog=EPILOG)(graph.delete)
app.add_typer(graph_app, name="graph")

quotas_app = typer.Typer(help="What all runs of a namespace may take together.", no_args_is_help=True)
quotas_app.command("show", epilog=EPILOG)(quotas.show_quotas)
quotas_app.command("set", epilog=EPILOG)(quotas.set_quotas)
app.add_typer(quotas_app, name="quotas")

profiles_app = typer.Typer(
    cls=Listing, help="Servers that `karman login` saved; lists them without a command."
)
profiles_app.command("list")(profiles.list_profiles)
profiles_app.command("use")(profiles.use_profile)
app.add_typer(profiles_app, name="profiles")


def main() -> None:
    """Run the command line."""
    app(prog_name="karman")
