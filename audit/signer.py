"""Who signs the chain: a key from a file or a secret, or one that never leaves AWS KMS."""

import base64
import hashlib
from typing import Any, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_private_key, load_pem_public_key

from libraries import aws_errors

_KEY_DIGITS = 16


class SigningError(Exception):
    """There is no usable key, or KMS did not sign; the message is for the operator and shows nothing of the key.

    `passing` says whether trying again can help.
    """

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


class Signer(Protocol):
    """Signs with Ed25519."""

    @property
    def key(self) -> str:
        """The key's ID (`key_id` of its public half)."""

    @property
    def public_key(self) -> bytes:
        """The public half, 32 raw bytes."""

    def sign(self, message: bytes) -> bytes:
        """Give the 64 bytes of a signature.

        Raises:
            SigningError: KMS can't be reached or refuses.

        """


def key_id(public_key: bytes) -> str:
    """Give the short name of a public key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:_KEY_DIGITS]


def public_key_from(text: str) -> bytes:
    """Read a public key, PEM or the base64 of its 32 raw bytes.

    Raises:
        SigningError: it is neither.

    """
    try:
        if "BEGIN" in text:
            loaded = load_pem_public_key(text.encode())
            if isinstance(loaded, Ed25519PublicKey):
                return loaded.public_bytes_raw()
        else:
            return Ed25519PublicKey.from_public_bytes(base64.b64decode(text.strip(), validate=True)).public_bytes_raw()
    except (ValueError, UnsupportedAlgorithm):
        pass
    raise SigningError("not an Ed25519 public key: expected PEM, or the base64 of its 32 bytes")


class FileSigner:
    """Signs with a private key at hand."""

    def __init__(self, pem: str) -> None:
        """Read an Ed25519 private key, PEM without a password.

        Raises:
            SigningError: it is none.

        """
        try:
            key = load_pem_private_key(pem.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise SigningError(
                "[audit] private_key is no Ed25519 private key in PEM without a password: "
                "`openssl genpkey -algorithm ed25519` makes one"
            )
        self._private = key
        self.public_key = key.public_key().public_bytes_raw()
        self.key = key_id(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """Sign."""
        return self._private.sign(message)


class KmsSigner:
    """Signs with a KMS key of the spec ECC_NIST_EDWARDS25519; needs kms:GetPublicKey and kms:Sign.

    KMS signs up to 4096 bytes as they are; a header is a fourth of that unless IDs are very long.
    """

    def __init__(self, kms: Any, key: str) -> None:
        """Take a boto3 KMS client, and the key's ID, ARN or alias; its public half is asked for when first needed."""
        self._kms, self._key = kms, key
        self._public: bytes | None = None

    @property
    def public_key(self) -> bytes:
        """The public half, asked for once."""
        if self._public is None:
            answer = self._ask("get_public_key", KeyId=self._key)
            try:
                loaded = load_der_public_key(answer["PublicKey"])
            except (ValueError, UnsupportedAlgorithm):
                loaded = None
            if not isinstance(loaded, Ed25519PublicKey):
                raise SigningError(
                    "[audit] kms_key_id names a KMS key of another kind: ECC_NIST_EDWARDS25519 is needed"
                )
            self._public = loaded.public_bytes_raw()
        return self._public

    @property
    def key(self) -> str:
        """The ID as in headers, not KMS's."""
        return key_id(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """Have KMS sign."""
        answer = self._ask(
            "sign", KeyId=self._key, Message=message, MessageType="RAW", SigningAlgorithm="ED25519_SHA_512"
        )
        signature: bytes = answer["Signature"]
        return signature

    def _ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._kms, operation)(**parameters)
        except aws_errors.ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            passing = code in {"KMSInternalException", "DependencyTimeoutException", "ThrottlingException"}
            raise SigningError(f"KMS refused to {operation.replace('_', ' ')}: {code}", passing=passing) from None
        except aws_errors.BotoCoreError as error:
            raise SigningError(f"KMS did not answer ({type(error).__name__})", passing=True) from None
        return answer
