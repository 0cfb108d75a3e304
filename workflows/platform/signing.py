"""What a person's word looks like, and how its signature is checked.

Temporal does not authenticate who sends an update. So whoever authenticated the person (our gateway: command line,
Slack, web) signs what they decided, and the run, which knows only public keys, refuses anything else.
"""

import base64
import hashlib
import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, ClassVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, Field

from activities.common.text import Key, Name
from activities.common.times import Time
from audit.signatures import canonical, fitting, word_bytes
from audit.text import length


class SignedWord(BaseModel):
    """Base of what a person sends into a run: who, in which role, and the gateway's signature over all of it."""

    model_config = ConfigDict(extra="forbid")

    UPDATE: ClassVar[str]
    """Name of the update that takes it; an auditor has the history and not the code, and checks signatures by it."""

    who: Name = Field(min_length=1, description="Authenticated name, e.g. an e-mail address.")
    role: Name = Field(min_length=1, max_length=100, description="For example commander, on-call.")
    issued_at: Annotated[datetime | None, Time()] = Field(
        default=None, description="When it was signed, with time zone."
    )
    nonce: Key | None = Field(default=None, description="A number used once: a copy of the word counts no second time.")
    signature: Key | None = Field(default=None, description="Base64 Ed25519 signature by a gateway's key.")

    def signed_bytes(self, workflow_id: str, run_id: str) -> bytes:
        """Give the canonical form that is signed: bound to update and run, and to every field but the signature."""
        return word_bytes(self.UPDATE, workflow_id, run_id, self.model_dump(mode="json"))


class Started(SignedWord):
    """Who started a run: the gateway's word in the run's memo. It takes a right away and gives none."""

    UPDATE = "start"


STARTED = "started"
"""Name of the memo that holds it."""

STARTERS = "starters"
"""Name of the memo by which a run tells those that it starts who started it: like `Started` it only takes away."""

# What has no shape of its own and is no format character (category Cf) or control character (Cc): Unicode's
# Default_Ignorable_Code_Point (DerivedCoreProperties.txt), and the blank of Braille.
_SHAPELESS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)
_ROLE_BEHIND = re.compile(r"\s*\([^()]*\)\s*$")
"""The command line writes `alice (commander)` for who starts."""

_ADDRESS = re.compile(r"<([^<>]*)>\s*$")
"""Mail writes `Alice <alice@example.org>`."""


def seen(text: str) -> str:
    """Give text without what nobody sees in it."""
    return _SHAPELESS.sub("", "".join(one for one in text if unicodedata.category(one) not in {"Cf", "Cc"}))


def person(name: str) -> str:
    """Give a name in the one form in which people are compared where being somebody takes a right away.

    Unicode's NFKC without case, outer and doubled spaces and what can't be seen, so that nobody is two people by a
    space behind their name. Whom a name belongs to is the gateway's to know. Doing it twice changes nothing more.
    """
    spaced = unicodedata.normalize("NFKC", " ".join(name.split()))
    folded = unicodedata.normalize("NFKC", seen(unicodedata.normalize("NFKC", seen(spaced).casefold())))
    return " ".join(folded.split())


def forms(name: str) -> frozenset[str]:
    """Give everything that a name may be written as: with the role behind it or not, or the mail address in it.

    Who has one of them in common is not two people.
    """
    bare = _ROLE_BEHIND.sub("", name)
    address = _ADDRESS.search(bare)
    return frozenset(filter(None, map(person, [name, bare, *([address[1]] if address else [])])))


def digest(subject: object) -> str:
    """SHA-256 of what is being decided, so that an approval holds for exactly that."""
    return hashlib.sha256(canonical(subject)).hexdigest()


def sign(word: SignedWord, private_key: Ed25519PrivateKey, workflow_id: str, run_id: str) -> str:
    """Sign a word for one run; gives base64."""
    return base64.b64encode(private_key.sign(word.signed_bytes(workflow_id, run_id))).decode()


def objection(
    word: SignedWord,
    *,
    workflow_id: str,
    run_id: str,
    public_keys: Iterable[str],
    now: datetime,
    valid_for: timedelta,
) -> str | None:
    """Say why a word's signature does not count, or None where it does. Does not look at roles."""
    if word.signature is None:
        return "it is not signed: send it through the gateway (`runbooks approve|close|note`)"
    if word.issued_at is None or word.issued_at.tzinfo is None:
        return "issued_at: required with a signature, with time zone"
    if abs(now - word.issued_at) > valid_for:
        return f"its signature is older than {length(valid_for)}, or from the future: sign it anew"
    if fitting(word.signature, word.signed_bytes(workflow_id, run_id), public_keys) is not None:
        return None
    return "its signature fits none of the configured gateway keys, or not what is being decided"
