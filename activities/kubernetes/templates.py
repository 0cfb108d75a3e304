"""What of a pod template makes a release: all but the marks that tools leave there to have the pods replaced."""

import hashlib
import json
import re
from collections.abc import Mapping

from activities.kubernetes.api import Object

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"

_MARKS = frozenset(
    {
        RESTARTED_AT,
        "cattle.io/timestamp",  # Rancher's "Redeploy"
        "keel.sh/update-time",
        "reloader.stakater.com/last-reloaded-from",  # what it was reloaded for isn't kept with a revision
        "rollme",  # helm.sh/docs/howto/charts_tips_and_tricks: a random word
    }
)
_A_TIME = re.compile(
    r"\d{10}(\.\d+|\d{3}|\d{6}|\d{9})?"  # seconds since 1970, or parts of them
    r"|20\d{6}[-_T]?\d{4}(\d\d)?Z?"
    r"|\d{4}-\d\d-\d\d[T _]\d\d[:.-]?\d\d.*"
    r"|(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? .*\d\d:\d\d.*"
)
"""As `date`, `date +%s`, Helm's `now` and programs write it; a day alone may be a version of something."""

_ROLLED_BY = re.compile("RESTART|RELOAD|REDEPLOY|DEPLOY_(DATE|TIME)|DEPLOYED_AT|ROLLOUT|FORCE")
_RELOADER = "STAKATER_"
_RELEASE_CHARACTERS = 16


def release(template: Object) -> str:
    """Give the digest of a pod template, without what only had its pods replaced: that makes no other release."""
    metadata = template.get("metadata") or {}
    pods = {
        "labels": _told(metadata.get("labels") or {}),
        "annotations": _told(metadata.get("annotations") or {}),
        "spec": _without_marks(template["spec"]),
    }
    return hashlib.sha256(json.dumps(pods, sort_keys=True).encode()).hexdigest()[:_RELEASE_CHARACTERS]


def is_mark(name: str, value: str) -> bool:
    """Tell whether a label or an annotation of pods says no more than when they were replaced."""
    return name in _MARKS or _A_TIME.fullmatch(value.strip()) is not None


def _told(given: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in given.items() if not is_mark(name, value)}


def _without_marks(spec: Object) -> Object:
    kept: Object = json.loads(json.dumps(spec))
    for container in [*(kept.get("initContainers") or ()), *kept["containers"]]:
        others = [one for one in container.get("env") or () if not _rolls(one)]
        if not others:  # one that has nothing else is as one without
            container.pop("env", None)
        else:
            container["env"] = others
    return kept


def _rolls(variable: Object) -> bool:
    """Tell whether a variable is there to have the pods replaced: a time by its name too, or Reloader's."""
    name, value = variable["name"], variable.get("value") or ""
    if name.startswith(_RELOADER):
        return True
    return _ROLLED_BY.search(name.upper()) is not None and _A_TIME.fullmatch(value.strip()) is not None
