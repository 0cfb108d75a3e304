"""Signs what a person decides, so that a run can tell it from what anybody might send (ARCHITECTURE, rule 6).

The command line is a gateway where `[gateway] private_key` is set. The operating system then authenticates: whoever
may read that key may speak for anyone, so it belongs to a shared host's own account, or to nobody's laptop. Without a
key words are sent unsigned, which a run refuses unless `[approvals] allow_unsigned` is set.
"""

from datetime import UTC, datetime
from typing import TypeVar
from uuid import uuid4

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from workers.settings import GatewaySettings, SettingsError
from workflows.platform.signing import SignedWord, sign

_Word = TypeVar("_Word", bound=SignedWord)


class Gateway:
    """Holds the key, if there is one."""

    def __init__(self, settings: GatewaySettings) -> None:
        """Read the key.

        Raises:
            SettingsError: it is no Ed25519 private key.

        """
        self._key = None if settings.private_key is None else _read(settings.private_key.get_secret_value())

    @property
    def signs(self) -> bool:
        """Whether there is a key."""
        return self._key is not None

    def signed(self, word: _Word, *, workflow_id: str, run_id: str) -> _Word:
        """Give the word with a number used once, and with time and signature for one run where there is a key."""
        once = word.model_copy(update={"nonce": word.nonce or uuid4().hex})
        if self._key is None:
            return once
        dated = once.model_copy(update={"issued_at": datetime.now(UTC)})
        return dated.model_copy(update={"signature": sign(dated, self._key, workflow_id, run_id)})


def _read(pem: str) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(
            "gateway.private_key: not an Ed25519 private key in PEM; `runbooks keys generate` makes one"
        )
    return key
