"""What a button carries: a word that is begun, bound to one run, one question and what was shown.

Slack gives it back as it was. The word's number is made from it and from who presses: a press that comes twice, by
Slack, by a person or by a process that was killed in between, is one word, since the number is the update's ID too and
a run takes each once (`workflows.platform.said`).
"""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from audit.signatures import canonical
from starters.slack import limits
from starters.steering.errors import WrongInput
from workflows.platform.run_status import RunStatus


class Press(BaseModel):
    """One button's word."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workflow_id: str = Field(alias="w")
    run_id: str = Field(alias="r")
    update: str = Field(alias="u")
    fields: dict[str, Any] = Field(default={}, alias="f", description="Of the word, as they are known already.")
    seen: str = Field(default="", alias="s", description="Mark of what the run showed; empty where `fields` say it.")
    typed: str = Field(default="", alias="t", description="What Slack calls the command by which it was typed.")

    @property
    def _content(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True, exclude=None if self.typed else {"typed"})

    def value(self) -> str | None:
        """Give it as a button's value; None where that is longer than Slack takes, and there can be no button."""
        text = json.dumps(self._content, separators=(",", ":"))
        return text if limits.size(text) <= limits.VALUE else None

    def nonce(self, who: str, fields: dict[str, Any]) -> str:
        """Give the word's number: the same for the same press by the same person with the same content."""
        content = {"press": self._content, "who": who, "fields": fields}
        return hashlib.sha256(canonical(content)).hexdigest()[:32]


class Begun(BaseModel):
    """What a modal remembers: a press whose word still lacks something, and where its answer goes.

    The press is no text in it, whose quotes would all be escaped twice: so any that fits a button fits a modal.
    """

    model_config = ConfigDict(extra="forbid")

    press: Press
    response_url: str = ""
    need: list[str] = Field(default=[], description="Fields that are asked for though the model has a default.")


def read(value: str) -> Press:
    """Read what Slack gives back.

    Raises:
        WrongInput: it is nothing of ours.

    """
    try:
        return Press.model_validate_json(value)
    except ValidationError:
        raise WrongInput("this button is of another version: use `/runbook status` for new ones") from None


def mark(status: RunStatus) -> str:
    """Give a mark of what a person sees of a run that decides what their word means.

    It changes with the phase, with what is waited for, and with every word that is taken; not as time goes by.
    """
    said = [(entry.at.isoformat(), entry.text, entry.who) for entry in status.entries if entry.kind == "decision"]
    return hashlib.sha256(canonical([status.phase, status.waiting_for, status.outcome, said[-20:]])).hexdigest()[:16]
