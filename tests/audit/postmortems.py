"""Post-mortems of recorded runs."""

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from audit.payloads import Decoder
from audit.postmortem import Material, sections
from audit.reading import read
from audit.story import Story

HISTORIES = Path(__file__).parents[1] / "histories"


S = timedelta(seconds=1)


HOSTILE = "</script><img src=x onerror=alert(1)> [click](http://evil) ![](http://evil/p.png) | cell\n## Owned\n-->"


def history(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((HISTORIES / f"{name}.json").read_text(encoding="utf-8"))
    return content


def recorded(name: str) -> Story:
    return read(history(name), namespace="default", workflow_id=name, run_id=name, decoder=Decoder())


def written(material: Material) -> dict[str, str]:
    return {section.name: section.text for section in sections(material) if section.name}


def decoded(payload: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(payload["data"]))
