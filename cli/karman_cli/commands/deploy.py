"""`karman deploy` and `karman destroy`: the CDK command line, for those who do not want to know it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from karman_cli import options
from karman_cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from karman_cli.deploying import Deployed

Stage = Annotated[
    str | None,
    typer.Option("--stage", metavar="NAME", help="The stage. Default: that of the configuration, else dev."),
]
Context = Annotated[
    list[str] | None,
    typer.Option(
        "--context",
        metavar="KEY=VALUE",
        help="Context for CDK; `karman` is the configuration, in JSON. Can be given several times.",
    ),
]
App = Annotated[
    str | None,
    typer.Option(
        "--app",
        metavar="COMMAND",
        help="The CDK app. Default: that of cdk.json in this folder, else Karman's own.",
    ),
]


def deploy(
    *,
    stage: Stage = None,
    context: Context = None,
    app: App = None,
    bootstrap: Annotated[
        bool,
        typer.Option("--bootstrap", help="Prepare account and region for CDK first; needed once for each."),
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what would be changed, and do nothing.")] = False,
    yes: options.Yes = False,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> int:
    """Deploy to the AWS account of your credentials, by CDK (docs/deploy.md).

    What commands and workers need to know of the deployment is written to .karman/STAGE.env.
    """
    from karman_cli import deploying

    project = deploying.Project.of(app, stage, context or [])
    cdk = deploying.Cdk.find()
    if bootstrap and not deploying.bootstrap(cdk, project):
        return ExitCode.FAILED
    if diff:
        return ExitCode.OK if deploying.diff(cdk, project) else ExitCode.FAILED
    deployed = deploying.deploy(cdk, project, yes=yes)
    if deployed is None:
        return ExitCode.FAILED
    _tell(deployed, as_json=as_json)
    return ExitCode.OK


def destroy(
    *,
    stage: Stage = None,
    context: Context = None,
    app: App = None,
    keep_secrets: Annotated[
        bool,
        typer.Option("--keep-secrets", help="Leave secrets in Parameter Store, for a deployment to come."),
    ] = False,
    yes: options.Yes = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> int:
    """Take a deployment away; of production, table, bucket, logs and secrets stay. Takes what `deploy` was given.

    Secrets, and queues that the API made, are no part of a stack: they are listed and deleted after the stacks.
    """
    from karman_cli import deploying
    from karman_cli.removing import Removal

    project = deploying.Project.of(app, stage, context or [])
    if not deploying.destroy(deploying.Cdk.find(), project, yes=yes):
        return ExitCode.FAILED
    Removal(project.stage, yes=yes, keep_secrets=keep_secrets).run()
    return ExitCode.OK


def _tell(deployed: Deployed, *, as_json: bool) -> None:
    from karman_cli.output import note, print_document, print_text

    if as_json:
        print_document(deployed)
        return
    if deployed.url is not None:
        print_text(deployed.url)
    if deployed.file is not None:
        note(
            f"Commands work on it with your AWS credentials after: source {deployed.file}\n"
            "For others: `karman keys create NAME --scope admin`, then `karman login` with that key."
        )
