"""What a kubeconfig must have to be of use, seen without the client: its import takes half a second."""

import os
from pathlib import Path

from activities.common.errors import Misconfigured
from libraries import yaml


def check(kubeconfig: Path | None = None, context: str | None = None) -> None:
    """Refuse what `kubernetes_api.connect` could not use either: it says whether the rest of it counts.

    Raises:
        Misconfigured: it isn't there or can't be read, has no such context, or there is neither it nor a cluster.

    """
    if kubeconfig is None and context is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
        return
    named = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG", "~/.kube/config")
    files = [Path(part).expanduser() for part in named.split(os.pathsep) if part]
    there = [_read(file) for file in files if file.exists()]
    if not there:
        raise Misconfigured(f"no access to Kubernetes: there is no kubeconfig at {named} (`[kubernetes] kubeconfig`)")
    contexts = {name for content in there for name in _names(content.get("contexts"))}
    # The last file that names one wins, as it does for the client.
    current = [content["current-context"] for content in there if "current-context" in content]
    wanted = context or (current[-1] if current else "")
    if wanted not in contexts:
        told = f"no context {wanted!r}" if wanted else "no current context"
        raise Misconfigured(f"no access to Kubernetes: {named} has {told}")


def _names(items: object) -> list[object]:
    return [item.get("name") for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _read(file: Path) -> dict[str, object]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Misconfigured(f"no access to Kubernetes: {file} can't be read ({type(error).__name__})") from None
    if not isinstance(content, dict):
        raise Misconfigured(f"no access to Kubernetes: {file} is no kubeconfig")
    return content
