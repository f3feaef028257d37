"""The entry point: `karman`."""

from __future__ import annotations

import typer

from karman_cli.commands import graph, keys
from karman_cli.commands.apply import apply
from karman_cli.commands.cancel import cancel
from karman_cli.commands.dev import dev
from karman_cli.commands.pause import pause
from karman_cli.commands.resume import resume
from karman_cli.commands.retry import retry
from karman_cli.commands.run import run
from karman_cli.commands.runs import runs
from karman_cli.commands.show import show
from karman_cli.commands.signal import signal
from karman_cli.commands.trigger import trigger
from karman_cli.commands.triggers import triggers
from karman_cli.commands.version import version
from karman_cli.group import Commands

app = typer.Typer(
    cls=Commands,
    help="Karman: an orchestrator for agents and data pipelines.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
graph_app = typer.Typer(help="Check, draw and print graphs.", no_args_is_help=True)
keys_app = typer.Typer(help="API keys of a namespace.", no_args_is_help=True)

COMMANDS = (
    run,
    dev,
    apply,
    trigger,
    runs,
    show,
    signal,
    cancel,
    pause,
    resume,
    retry,
    triggers,
    version,
)

for command in COMMANDS:
    app.command()(command)
for graph_command in (graph.validate, graph.draw, graph.show):
    graph_app.command()(graph_command)
for name, key_command in (
    ("list", keys.list_keys),
    ("create", keys.create_key),
    ("rotate", keys.rotate_key),
    ("revoke", keys.revoke_key),
):
    keys_app.command(name)(key_command)
app.add_typer(graph_app, name="graph")
app.add_typer(keys_app, name="keys")


def main() -> None:
    """Run the command line."""
    app(prog_name="karman")
