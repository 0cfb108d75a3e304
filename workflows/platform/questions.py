"""An open question as the Temporal UI shows it: first of all, with what to paste into the update `decide`."""

import json

from audit.text import plain
from workflows.platform.approval import OpenQuestion

EXAMPLE = (
    "What to paste stands in the run's current details, as in: "
    '{"who": "ada@example.org", "role": "commander", "question": "mitigation-1", "choice": "rollback"}'
)


def in_ui(question: OpenQuestion) -> str:
    """Show it as Markdown: what is asked, who may decide, the choices, and the JSON of an answer."""
    lines = [f"### Asked: {plain(question.title)}", ""]
    for choice, does in question.options.items():
        marks = {"recommended": question.recommended, "without an answer": question.default}
        said = ", ".join(mark for mark, other in marks.items() if other == choice)
        lines.append(f"- **{plain(choice)}**: {plain(does)}{f' ({said})' if said else ''}")
    roles = ", ".join(plain(role) for role in question.roles) or "nobody's role"
    until = question.asked_at + question.timeout * (2 if question.escalated else 1)
    how = "To the update `decide`, signed by a gateway, or where unsigned words are allowed:"
    lines += ["", f"May decide: {roles}, until {until:%H:%M:%S %Z}. {how}", "", "```json", _answer(question), "```", ""]
    return "\n".join([*lines, ""])


def _answer(question: OpenQuestion) -> str:
    """Write an answer of which only the name has to be filled in; no character of it can end the block."""
    choice = question.recommended or question.default
    words = {"who": "YOUR NAME", "role": next(iter(question.roles), ""), "question": question.id, "choice": choice}
    if choice in question.reason_for:
        words["reason"] = "WHY"
    return json.dumps(words).replace("`", "\\u0060")
