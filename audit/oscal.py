"""A package's facts as OSCAL Assessment Results (NIST, pages.nist.gov/OSCAL, model 1.2.1).

Observations only. OSCAL's findings say `satisfied` or `not-satisfied`, which is the assessor's word and not ours.
Every UUID is made from what it names (RFC 9562, version 5), so the same facts make the same document.
"""

from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from audit.compliance import Control, Facts

VERSION = "1.2.1"
_NAMESPACE = uuid5(NAMESPACE_URL, "https://runbooks.dev/ns/oscal")
_PROPERTIES = "https://runbooks.dev/ns/oscal"
_TYPES = {".pdf": "application/pdf", ".json": "application/json", ".csv": "text/csv"}


def assessment_results(facts: Facts, exhibits: dict[str, str]) -> dict[str, Any]:
    """Give the document as JSON's values; `exhibits` are the package's other files and their SHA-256, hex."""
    about = f"{facts.framework.name}/{facts.start}/{facts.end}/{facts.looked_on}/{facts.seed}"

    def uuid(name: str) -> str:
        return str(uuid5(UUID(str(_NAMESPACE)), f"{about}/{name}"))

    looked = f"{facts.looked_on}T00:00:00Z"
    title = f"{facts.framework.title}: evidence of {facts.start} to {facts.end}"
    return {
        "assessment-results": {
            "uuid": uuid("results"),
            "metadata": {
                "title": title,
                "last-modified": looked,
                "version": f"{facts.start}/{facts.end}",
                "oscal-version": VERSION,
                "props": [_property("seed", facts.seed)],
                "remarks": "Evidence that one system has. Whether a control is met is not said here.",
            },
            "import-ap": {"href": f"#{uuid('plan')}"},
            "results": [
                {
                    "uuid": uuid("result"),
                    "title": title,
                    "description": "What this system's records, and a look at access and encryption, show.",
                    "start": f"{facts.start}T00:00:00Z",
                    "end": f"{facts.end}T23:59:59Z",
                    "reviewed-controls": {
                        "control-selections": [
                            {"include-controls": [{"control-id": token(one.id)} for one in facts.framework.controls]}
                        ]
                    },
                    "observations": [
                        _observation(facts, one, uuid, looked, exhibits) for one in facts.framework.controls
                    ],
                }
            ],
            "back-matter": {
                "resources": [
                    {
                        "uuid": uuid("plan"),
                        "title": "What was looked at",
                        "description": f"{facts.framework.scope}; controls and populations as in facts.json.",
                        "rlinks": [{"href": "facts.json", "media-type": "application/json"}],
                    },
                    *(_resource(name, sha256, uuid) for name, sha256 in sorted(exhibits.items())),
                ]
            },
        }
    }


def token(control: str) -> str:
    """Give a control's number as OSCAL's tokens may be: `164.312(a)(1)` is `c-164.312-a-1`."""
    plain = control.replace(")(", "-").replace("(", "-").replace(")", "").lower()
    return plain if plain[0].isalpha() else f"c-{plain}"


def _observation(facts: Facts, control: Control, uuid: Any, looked: str, exhibits: dict[str, str]) -> dict[str, Any]:
    populations = [facts.population(name) for name in control.populations]
    names = [*(one.file for one in populations), *control.exhibits]
    counts = "; ".join(f"{one.title}: {one.count}, {len(one.samples)} drawn" for one in populations)
    missing = "; ".join([*([control.missing] if control.missing else []), *map(str, facts.lacking(control))])
    said = [part for part in (counts, f"Missing: {missing}" if missing else "") if part]
    return {
        "uuid": uuid(f"observation/{control.id}"),
        "title": f"{control.id} {control.title}",
        "description": _line(". ".join([facts.standing(control), *said])),
        "props": [_property("control", token(control.id)), _property("standing", facts.standing(control))],
        "methods": ["EXAMINE", "TEST"] if "encryption-status.pdf" in control.exhibits else ["EXAMINE"],
        "types": ["control-objective"],
        **(
            {
                "relevant-evidence": [
                    {"href": f"#{uuid(f'resource/{name}')}" if name in exhibits else name, "description": name}
                    for name in names
                ]
            }
            if names
            else {}
        ),
        "collected": looked,
    }


def _resource(name: str, sha256: str, uuid: Any) -> dict[str, Any]:
    suffix = name[name.rfind(".") :]
    return {
        "uuid": uuid(f"resource/{name}"),
        "title": name,
        "rlinks": [
            {
                "href": name,
                "media-type": _TYPES.get(suffix, "application/octet-stream"),
                "hashes": [{"algorithm": "SHA-256", "value": sha256}],
            }
        ],
    }


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": name, "ns": _PROPERTIES, "value": _line(value)}


def _line(text: str) -> str:
    """Make one line with no space at its ends, as OSCAL's strings are."""
    return " ".join(text.split()) or "none"
