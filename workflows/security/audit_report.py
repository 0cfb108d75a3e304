"""The report of a security incident: JSON for programs, Markdown for people (runbook 8.1 step 7).

It says what was done, by whom, and what was not looked at. What was found stands in the restricted record.
"""

import json
from typing import Any

from audit.text import plain
from workflows.security.access_review import AccessReview
from workflows.security.containment import Containment
from workflows.security.rotation import Rotation

_NOT_REVIEWED = "accesses were not reviewed by this run: it began before runs did (8.1 step 5)"


def report(
    containment: Containment,
    rotation: Rotation | None,
    addresses: dict[str, str],
    accesses: AccessReview | None,
    *,
    outcome: str,
    nodes: str,
) -> dict[str, Any]:
    """Give it as JSON."""
    run = containment.run
    credentials = rotation.ended() if rotation is not None else {}
    not_blocked = [] if addresses else ["no address was named that should be blocked (8.1 step 6)"]
    not_rotated = [] if credentials else ["no credential was rotated: settings name none (8.1 step 4)"]
    return {
        "incident": containment.desk.id,
        "service": containment.service.name,
        "outcome": outcome,
        "nodes": dict.fromkeys(containment.nodes, nodes),
        "isolated": [str(pod) for pod in containment.isolated],
        "moved": len(containment.gone),
        "left": containment.left,
        "evidence": [
            {"manifest": part.manifest.uri, "sha256": part.manifest.sha256, "signed": part.signature is not None}
            for part in containment.parts
        ],
        "captured": [] if containment.live is None else [*containment.live.captured, *containment.live.checkpoints],
        "evidence not kept": [each for part in containment.parts for each in (*part.gone, *part.unreadable)],
        "credentials": credentials,
        "addresses": addresses,
        "accesses": {
            source: {
                "findings": each.findings,
                "of": each.accesses,
                "document": each.document.uri,
                "sha256": each.document.sha256,
            }
            for source, each in sorted(accesses.found.items())
        }
        if accesses is not None
        else {},
        "not done": [
            *not_rotated,
            *not_blocked,
            *(accesses.not_done() if accesses else [_NOT_REVIEWED]),
            *_not_captured(containment),
        ],
        "answers": {question: answer.model_dump() for question, answer in run.approvals.answers.items()},
        "timeline": [entry.model_dump(mode="json") for entry in run.timeline.entries],
    }


def as_json(content: dict[str, Any]) -> str:
    """Write it for programs."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def as_markdown(content: dict[str, Any]) -> str:
    """Write it for people."""
    lines = [
        f"# {plain(content['incident'])}: {plain(content['outcome'])}",
        "",
        f"Service: {plain(content['service'])}",
    ]
    for title, items in {
        "Isolated": content["isolated"],
        "Left": content["left"],
        "Nodes": [f"{name}: {what}" for name, what in content["nodes"].items()],
        "Credentials": [f"{name}: {what}" for name, what in content["credentials"].items()],
        "Addresses": [f"{address}: {what}" for address, what in content["addresses"].items()],
        "Accesses of 24 hours": [
            f"{source}: {_counts(each['findings']) or 'none'} of {each['of']}: {each['document']} "
            f"sha256:{each['sha256']}"
            for source, each in content["accesses"].items()
        ],
        "Evidence": [f"{each['manifest']} sha256:{each['sha256']}" for each in content["evidence"]],
        "Captured of running pods": content["captured"],
        "Evidence that could not be kept": content["evidence not kept"],
        "Decided": [f"{name}: {a['choice']} by {a['by']} {a['reason']}" for name, a in content["answers"].items()],
        "Not done": content["not done"],
        "Timeline": [f"{entry['at']} {entry['text']}" for entry in content["timeline"]],
    }.items():
        lines += ["", f"## {title}", "", *(f"- {plain(str(item))}" for item in items or ["none"])]
    return "\n".join(lines) + "\n"


def _not_captured(containment: Containment) -> list[str]:
    """Say what of the running pods was not kept: a report that leaves it out would claim it."""
    live, policy = containment.live, containment.policy
    if live is None:
        return ["processes, open connections and memory of the pods were not kept"]
    return [
        *([] if policy.debug_image else ["processes and open connections were not kept: settings name no debug image"]),
        *([] if policy.checkpoint else ["memory of the pods was not kept: settings ask for no checkpoint"]),
        *(f"not captured: {each}" for each in live.missing),
    ]


def _counts(findings: dict[str, int]) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in findings.items() if number)
