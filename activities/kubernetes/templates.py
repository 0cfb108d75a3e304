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
        "flagger-id",  # one a promotion
        "skaffold.dev/run-id",
    }
)
_DEPLOYERS = ("azure-pipelines/", "actions.github.com/", "Octopus.")
"""What pipelines note of themselves on pods: the same release has another number each time that it is deployed."""

_REPLACES = re.compile(r"restart|(?<!p)reload|redeploy|force-?(update|roll|deploy)|(^|/)random$", re.IGNORECASE)
"""In the name of a label or an annotation: it runs nothing, so it is there to have the pods replaced, by any value."""

_A_TIME = re.compile(
    r"\d{10}(\.\d+|\d{3}|\d{6}|\d{9})?"  # seconds since 1970, or parts of them
    r"|20\d{6}[-_T]?\d{4}(\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?"
    r"|\d{4}-\d\d-\d\d[T _]\d\d[:.-]?\d\d.*"
    r"|(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? .*\d\d:\d\d.*"
    r"|\d{1,2}(/\d{1,2}/|[ -][A-Z][a-z]{2,8}[ -])20\d\d,? \d{1,2}:\d\d.*"
)
"""As `date`, `date +%s`, Helm's `now` and programs write it; a day alone may be a version of something."""

_ROLLED_BY = re.compile(
    "RESTART|RELOAD|REDEPLOY|DEPLOY_(DATE|TIME)|DEPLOYED_AT|ROLLOUT|FORCE|^TIMESTAMP$|^LAST_UPDATED?"
)
_A_RANDOM_ONE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
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
    """Tell whether a label or an annotation of pods says no more than that they were replaced, when and by what."""
    if name in _MARKS or name.startswith(_DEPLOYERS) or _REPLACES.search(name):
        return True
    return _A_TIME.fullmatch(value.strip()) is not None


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
    """Tell whether a variable is there to have the pods replaced: a time or a UUID by its name too, or Reloader's."""
    name, value = variable["name"], (variable.get("value") or "").strip()
    if name.startswith(_RELOADER):
        return True
    once = _A_TIME.fullmatch(value) or _A_RANDOM_ONE.fullmatch(value)
    return once is not None and _ROLLED_BY.search(name.upper()) is not None
