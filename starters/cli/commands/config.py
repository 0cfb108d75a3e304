"""`runbooks config`: the settings."""

from pathlib import Path
from typing import Annotated

import typer

from starters.cli.groups import group
from starters.cli.options import Json
from starters.cli.people import command

app = group("The settings.")


@app.callback()
def _group() -> None:
    """Check, look up and begin the settings."""


@app.command("check")
@command
async def check(
    *,
    routes: Annotated[bool, typer.Option(help="Look at the webhook's routing rules as well.")] = True,
    files_only: Annotated[bool, typer.Option("--files-only", help="Ask no outside system.")] = False,
    as_json: Json = False,
) -> None:
    """Hold all values against all their uses, and name every fault with its line.

    Then ask each outside system whether it is reached, and permits what runs do; nothing is changed. Exit code 2
    where a file is wrong, 1 where a system is not as it should be.

    Example: runbooks config check
    """
    from starters.cli import configured

    settings = configured.check(routed=routes)
    from starters.cli import findings, reaching

    if files_only and not as_json:
        return
    found = [] if files_only else await reaching.systems(settings)
    findings.show(found, as_json=as_json, told="systems out of reach, or forbidding what runs do there")


@app.command("reference")
@command
async def reference() -> None:
    """Print every setting with its default, as a file in which everything is a comment.

    Example: runbooks config reference
    """
    from workers.settings_reference import reference as text

    typer.echo(text(), nl=False)


@app.command("schema")
@command
async def schema() -> None:
    """Print the JSON schema of the settings, for editors.

    Example: runbooks config schema
    """
    import json

    from workers.settings_reference import schema as made

    typer.echo(json.dumps(made(), indent=2, ensure_ascii=False))


@app.command("init")
@command
async def init(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="How runs are to call the service.")],
    *,
    deployment: Annotated[str | None, typer.Option(help="Its Deployment; named as the service otherwise.")] = None,
    namespace: Annotated[str | None, typer.Option(help="Where that is; looked for otherwise.")] = None,
    selector: Annotated[
        str | None, typer.Option(help="Label selector of its pods; the Deployment's otherwise.")
    ] = None,
    health_url: Annotated[
        str | None, typer.Option(help="Where it says whether it is healthy; what Kubernetes asks otherwise.")
    ] = None,
    hpa: Annotated[str | None, typer.Option(help="Its HorizontalPodAutoscaler; looked for otherwise.")] = None,
    scaled_object: Annotated[str | None, typer.Option(help="KEDA's ScaledObject; looked for otherwise.")] = None,
    kubeconfig: Annotated[Path | None, typer.Option(help="Of the cluster; as kubectl takes it otherwise.")] = None,
    context: Annotated[str | None, typer.Option(help="Of the kubeconfig; its current one otherwise.")] = None,
    file: Annotated[Path, typer.Option(help="Where it is written; never overwritten.")] = Path("runbooks.toml"),
    as_json: Json = False,
) -> None:
    """Begin a settings file with one service, and everything else as comments with its default.

    What you don't say is looked for in the cluster, where one answers: the Deployment of that name, its selector, HPA
    and ScaledObject, and where Kubernetes asks for its health. On a terminal it asks for what is not there.

    Example: runbooks config init api --health-url http://api.default:8080/health
    """
    from starters.cli import beginning

    said = beginning.Said(service, namespace, deployment, selector, health_url, hpa, scaled_object)
    beginning.write(file, said, beginning.Reached(kubeconfig, context), as_json=as_json)
