"""What a revision of a Helm release runs: by it two revisions are told for one, whoever has released it again."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from activities.kubernetes import templates
from activities.kubernetes.images import parse
from libraries import yaml

_NOT_RUN = frozenset(
    {"HorizontalPodAutoscaler", "PodDisruptionBudget", "ScaledObject", "ServiceMonitor", "PodMonitor", "PrometheusRule"}
)
"""How many pods there are, and who looks at them: going back for that mends no release."""

_SAYS = ("data", "stringData", "binaryData", "spec", "rules", "webhooks")
_CHARACTERS = 16


@dataclass(frozen=True)
class Contents:
    """Of one revision."""

    digest: str
    """Without what only replaces pods, their number, and names of the chart's version."""

    versions: tuple[str, ...]
    """What the images of its workloads are called."""


def contents(manifest: str) -> Contents:
    """Read a manifest as Helm keeps it.

    Raises:
        yaml.YAMLError: it is none.

    """
    objects = [one for one in yaml.safe_load_all(manifest) if isinstance(one, dict)]
    said = sorted(json.dumps(_said(one), sort_keys=True, default=str) for one in objects if _counts(one))
    pods = [one["spec"]["template"]["spec"] for one in objects if _template(one)]
    images = [container.get("image", "") for pod in pods for container in pod.get("containers") or ()]
    versions = dict.fromkeys(parse(image).shown for image in images if image)
    return Contents(hashlib.sha256("\n".join(said).encode()).hexdigest()[:_CHARACTERS], tuple(versions))


def _counts(one: dict[str, Any]) -> bool:
    return one.get("kind") not in _NOT_RUN


def _template(one: dict[str, Any]) -> dict[str, Any] | None:
    spec = one.get("spec")
    template = spec.get("template") if isinstance(spec, dict) else None
    pods = template.get("spec") if isinstance(template, dict) else None
    return template if isinstance(template, dict) and isinstance(pods, dict) and "containers" in pods else None


def _said(one: dict[str, Any]) -> dict[str, Any]:
    said = {name: one[name] for name in _SAYS if name in one}
    if template := _template(one):
        said["spec"] = {name: value for name, value in one["spec"].items() if name not in {"replicas", "template"}}
        said["release"] = templates.release(template)
    return {"kind": one.get("kind"), "name": (one.get("metadata") or {}).get("name"), **said}
