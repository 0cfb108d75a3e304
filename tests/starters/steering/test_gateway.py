"""A word is signed for one run where there is a key, and a key of another kind is refused."""

import base64

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from starters.steering.gateway import Gateway
from workers.settings import GatewaySettings, SettingsError
from workflows.platform.run_status import Note

NOTE = Note(who="alice", role="operator", text="seen")


def pem(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> SecretStr:
    """Write a key as the settings have it."""
    return SecretStr(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def test_without_a_key_a_word_has_a_number_and_no_signature() -> None:
    gateway = Gateway(GatewaySettings())
    word = gateway.signed(NOTE, workflow_id="w", run_id="r")
    assert not gateway.signs
    assert word.nonce
    assert not word.signature


def test_the_signature_is_for_this_run_alone() -> None:
    key = Ed25519PrivateKey.generate()
    word = Gateway(GatewaySettings(private_key=pem(key))).signed(NOTE, workflow_id="w", run_id="r")
    assert word.signature is not None
    signature = base64.b64decode(word.signature)
    key.public_key().verify(signature, word.signed_bytes("w", "r"))
    with pytest.raises(InvalidSignature):
        key.public_key().verify(signature, word.signed_bytes("w", "another"))


def test_a_number_that_a_word_has_stays() -> None:
    word = NOTE.model_copy(update={"nonce": "n1"})
    assert Gateway(GatewaySettings()).signed(word, workflow_id="w", run_id="r").nonce == "n1"


@pytest.mark.parametrize(
    "private_key", [SecretStr("sesame"), pem(ec.generate_private_key(ec.SECP256R1()))], ids=["text", "ec"]
)
def test_what_is_no_ed25519_key_is_refused(private_key: SecretStr) -> None:
    with pytest.raises(SettingsError, match="not an Ed25519 private key") as refused:
        Gateway(GatewaySettings(private_key=private_key))
    assert private_key.get_secret_value() not in str(refused.value)
