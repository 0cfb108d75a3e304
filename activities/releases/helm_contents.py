"""What a revision of a Helm release runs: by it two revisions are told for one, whoever has released it again."""

import hashlib
import json
from collections.abc import Iterator
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


def objects(manifest: str) -> list[dict[str, Any]]:
    """Read the objects of a manifest: what has `items` is a list of them, as kubectl and Helm read it.

    Raises:
        yaml.YAMLError: it is none.

    """
    return [one for document in yaml.safe_load_all(manifest) for one in _each(document)]


def contents(manifest: str) -> Contents:
    """Read a manifest as Helm keeps it.

    Raises:
        yaml.YAMLError: it is none.

    """
    found = objects(manifest)
    said = sorted(json.dumps(_said(one), sort_keys=True, default=str) for one in found if _counts(one))
    pods = [one["spec"]["template"]["spec"] for one in found if _template(one)]
    images = [container.get("image", "") for pod in pods for container in pod.get("containers") or ()]
    versions = dict.fromkeys(parse(image).shown for image in images if image)
    return Contents(hashlib.sha256("\n".join(said).encode()).hexdigest()[:_CHARACTERS], tuple(versions))


def _each(document: object) -> Iterator[dict[str, Any]]:
    if not isinstance(document, dict):
        return  # a chart's template may leave nothing but comments
    if not isinstance(items := document.get("items"), list):
        yield document
        return
    for item in items:
        yield from _each(item)


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
