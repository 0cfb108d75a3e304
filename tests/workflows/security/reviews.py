"""Access reviews, as their tests read them."""

import json

from tests.workflows.worlds.breached import Breached


def report(world: Breached) -> dict[str, object]:
    (kept,) = (each for each in world.done("evidence.store_document") if each.name == "audit-report.json")
    content: dict[str, object] = json.loads(kept.content)
    return content
