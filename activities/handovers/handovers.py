"""How a secret reaches a customer: kept once, shown once, and never in a run's history (runbook 5.1, 8.2 step 2).

A run only knows the handover's ID. Two backends: one-time links, sealed in the records, and AWS Secrets Manager.
"""

from typing import Protocol

from pydantic import BaseModel, Field

from activities.common.effects import Effect
from activities.records.ledger import Rows

Contents = dict[str, str]
"""What the customer is shown: a name for people, and the secret."""


class NewHandover(BaseModel):
    """What is to be handed over, but for the secret itself."""

    handover_id: str = Field(pattern=r"^ho_[a-z0-9]{8,40}$", description="Chosen by the workflow.")
    tenant_id: str
    effect: Effect


class Handovers(Protocol):
    """A backend for secrets on their way."""

    def keep(self, rows: Rows, handover: NewHandover, contents: Contents) -> Contents:
        """Keep contents until the customer takes them; gives what is kept: an earlier attempt's, where there was one.

        `rows` is the transaction in which the secret's hash is written.
        """

    def where(self, handover_id: str) -> str:
        """Tell the customer where it is. A one-time link is itself a secret: for the mail alone."""

    def peek(self, rows: Rows, handover_id: str) -> Contents | None:
        """Read contents that nobody has taken yet; None where they are gone."""
