"""Secrets behind one-time links: sealed in the records under a key that only the link has.

The link's token comes from the settings' secret and the handover's ID, so that every attempt of a mail has the same
link. The records keep a hash of the token and the sealed contents; neither opens the other.
"""

import base64
import hashlib
import hmac
import json
from datetime import timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from activities.common.errors import Misconfigured
from activities.handovers.handovers import Contents, NewHandover
from activities.records.ledger import Rows

_NONCE = bytes(12)
"""Each key seals one handover, once."""


class HandoverLinks:
    """One-time links."""

    def __init__(self, secret: SecretStr | None, base_url: str, valid_for: timedelta) -> None:
        self._secret = secret
        self._base_url = base_url.rstrip("/")
        self._valid_for = valid_for

    def keep(self, rows: Rows, handover: NewHandover, contents: Contents) -> Contents:
        """Seal contents; the effect's ledger keeps a second attempt away."""
        token = self._token(handover.handover_id)
        sealed = _cipher(token).encrypt(_NONCE, json.dumps(contents).encode(), handover.handover_id.encode())
        effect = handover.effect
        rows.execute(
            """
            INSERT INTO runbooks.handovers
                   (handover_id, tenant_id, token_hash, sealed, expires_at, workflow_id, run_id, effect_key)
            VALUES (%s, %s, %s, %s, clock_timestamp() + %s, %s, %s, %s)
            """,
            (
                handover.handover_id,
                handover.tenant_id,
                _looked_up(token),
                sealed,
                self._valid_for,
                effect.workflow_id,
                effect.run_id,
                effect.key,
            ),
        )
        return contents

    def where(self, handover_id: str) -> str:
        """Give the link."""
        return f"{self._base_url}/handover/{self._token(handover_id)}"

    def peek(self, rows: Rows, handover_id: str) -> Contents | None:
        """Read what nobody has opened yet."""
        return _unsealed(rows, self._token(handover_id))

    def _token(self, handover_id: str) -> str:
        if self._secret is None:
            raise Misconfigured(
                "one-time links need [handover] secret (RUNBOOKS_HANDOVER__SECRET): 32 random bytes or more"
            )
        mac = hmac.digest(self._secret.get_secret_value().encode(), f"handover/{handover_id}".encode(), "sha256")
        return base64.urlsafe_b64encode(mac).decode().rstrip("=")


def is_waiting(rows: Rows, token: str) -> bool:
    """Tell whether a link still shows something; opens nothing, so that mail scanners can't use it up."""
    return _unsealed(rows, token) is not None


def open_once(rows: Rows, token: str) -> Contents | None:
    """Give the contents and erase them, in this transaction; None where they are gone, expired, or never were."""
    # The second of two that open it at once waits here, and then finds nothing.
    rows.execute("SELECT FROM runbooks.handovers WHERE token_hash = %s FOR UPDATE", (_looked_up(token),))
    contents = _unsealed(rows, token)
    if contents is not None:
        rows.execute(
            "UPDATE runbooks.handovers SET sealed = NULL, opened_at = clock_timestamp() WHERE token_hash = %s",
            (_looked_up(token),),
        )
    return contents


def _unsealed(rows: Rows, token: str) -> Contents | None:
    row = rows.execute(
        "SELECT handover_id, sealed FROM runbooks.handovers "
        "WHERE token_hash = %s AND sealed IS NOT NULL AND expires_at > clock_timestamp()",
        (_looked_up(token),),
    ).fetchone()
    if row is None:
        return None
    try:
        opened = _cipher(token).decrypt(_NONCE, bytes(row["sealed"]), str(row["handover_id"]).encode())
    except InvalidTag:
        return None
    contents: Contents = json.loads(opened)
    return contents


def _looked_up(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _cipher(token: str) -> AESGCM:
    return AESGCM(hmac.digest(token.encode(), b"seal", "sha256"))
