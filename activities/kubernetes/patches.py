"""Patches of the cluster's objects: under our name, in plan mode only tried, and tried again where they collide."""

from collections.abc import Callable
from typing import Any

from activities.kubernetes.api import FIELD_MANAGER, Object, ask

PAUSES = (0.0, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
"""Seconds before each try of a patch: together longer than a controller's bursts of status updates."""

_MERGE_PATCH = "application/merge-patch+json"


def patch(method: Callable[..., Any], *target: str, body: list[Object] | Object, dry_run: bool) -> None:
    """Send a JSON patch (a list) or a merge patch by a method of the official client.

    Raises:
        Conflict: the patch names a resourceVersion, and the object has another one by now.

    """
    options: dict[str, Any] = {"dry_run": "All"} if dry_run else {}
    if isinstance(body, dict):
        options["_content_type"] = _MERGE_PATCH
    ask(method, *target, body, field_manager=FIELD_MANAGER, **options)
