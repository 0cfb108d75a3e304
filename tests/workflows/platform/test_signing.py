"""A gateway's signature counts, where settings ask for it; a wrong one never does."""

import base64
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from activities.common.errors import Refused
from tests.workflows.platform.approvals import (
    NOW,
    approvals,
    at_a_time,  # noqa: F401
    says,
)
from workflows.platform.approval import Decision
from workflows.platform.signing import Started, sign


def test_only_a_gateways_signature_counts_where_settings_say_so() -> None:
    key, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    made = approvals(allow_unsigned=False, public_keys=(public,))

    def signed(by: Ed25519PrivateKey, at: datetime = NOW, run: str = "later") -> Decision:
        word = says(issued_at=at, subject=made.open["q"].subject)
        return word.model_copy(update={"signature": sign(word, by, "w", run)})

    made.check(signed(key))
    for bad in (says(), signed(stranger), signed(key, at=NOW - timedelta(hours=1)), signed(key, run="other")):
        with pytest.raises(Refused, match="refused: "):
            made.check(bad)


def test_whoever_started_a_run_is_known_by_the_gateways_word_and_by_the_claim() -> None:
    key, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()

    def memo(by: Ed25519PrivateKey, at: datetime) -> dict[str, Any]:
        word = Started(who="Grace", role="on-call", issued_at=at)
        return word.model_copy(update={"signature": sign(word, by, "w", "")}).model_dump(mode="json")

    def starters(note: Any) -> frozenset[str]:
        made = approvals(allow_unsigned=False, public_keys=(public,))
        made.started_by("ada (dba)", note)
        return made.starters

    claimed = frozenset({"ada", "ada (dba)"})
    assert starters(None) == starters({"who": "nobody"}) == starters(memo(stranger, NOW)) == claimed
    assert starters(memo(key, NOW)) == starters(memo(key, NOW - timedelta(days=9))) == claimed | {"grace"}


def test_a_wrong_signature_doesnt_count_where_none_is_needed() -> None:
    made = approvals()
    word = says(issued_at=NOW, subject=made.open["q"].subject)
    forged = word.model_copy(update={"signature": sign(word, Ed25519PrivateKey.generate(), "w", "later")})
    with pytest.raises(Refused, match="refused: "):
        made.check(forged)
