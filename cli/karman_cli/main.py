"""The entry point: `karman`."""

from __future__ import annotations

import typer

from karman_cli.commands import graph
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
from karman_cli.commands.version import version
from karman_cli.group import Commands

app = typer.Typer(
    cls=Commands,
    help="Karman: an orchestrator for agents and data pipelines.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
graph_app = typer.Typer(help="Check, draw and print graphs.", no_args_is_help=True)

for command in (run, dev, trigger, runs, show, signal, cancel, pause, resume, retry, version):
    app.command()(command)
for graph_command in (graph.validate, graph.draw, graph.show):
    graph_app.command()(graph_command)
app.add_typer(graph_app, name="graph")


def main() -> None:
    """Run the command line."""
    app(prog_name="karman")
