"""The ID that a tenant gets by its customer's name, where nobody gives one (runbook 5.1, day 0)."""

import re
import unicodedata

from temporalio import workflow

from activities.customers.tenant_records import TENANT_ID

_LONGEST = 63
_LETTERS = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "å": "a", "ð": "d", "đ": "d", "þ": "th", "ł": "l", "ħ": "h", "\u0131": "i"}
)
"""Those that Unicode doesn't take apart into a plain letter and a mark."""


def tenant_id_of(name: str) -> str:
    """Make an ID of a name: `Müller & Søn` is `muller-son`.

    Raises:
        ValueError: nothing of it can be written so.

    """
    made = _made(name)
    if re.match(TENANT_ID, made) is None:
        raise ValueError("tenant_id: can't be made of this name: give one")
    return made


def pinned(tenant_id: str, name: str) -> str:
    """Give the ID that a run has had from its beginning: one from before has lost the letters that aren't plain."""
    before = _joined(name.lower())
    if tenant_id in {before, ""} or tenant_id != _made(name) or workflow.patched("letters-of-a-tenant"):
        return tenant_id
    return before


def _made(name: str) -> str:
    parts = unicodedata.normalize("NFD", name.casefold().translate(_LETTERS))
    return _joined("".join(part for part in parts if not unicodedata.combining(part)))


def _joined(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-")[:_LONGEST]
