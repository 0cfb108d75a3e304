"""Keys from files, and from KMS: moto's has no Ed25519, so a server that speaks KMS' protocol stands in for it."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from botocore.config import Config
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from audit.chain import Verifier
from audit.signer import FileSigner, KmsSigner, SigningError, key_id, public_key_from
from tests.audit.stories import chain, new_signer

RAW = (Encoding.Raw, PublicFormat.Raw)


class Kms(ThreadingHTTPServer):
    """GetPublicKey and Sign of keys in memory, as the service model of botocore has them."""

    keys: dict[str, Any]
    refusal: tuple[int, str] | None = None

    def answer(self, operation: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.refusal:
            return self.refusal[0], {"__type": self.refusal[1], "message": "no"}
        key = self.keys.get(request["KeyId"])
        if key is None:
            return 400, {"__type": "NotFoundException", "message": "no such key"}
        if operation == "GetPublicKey":
            public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            return 200, {"KeyId": request["KeyId"], "PublicKey": base64.b64encode(public).decode()}
        message = base64.b64decode(request["Message"])
        if (request["MessageType"], request["SigningAlgorithm"]) != ("RAW", "ED25519_SHA_512") or len(message) > 4096:
            return 400, {"__type": "ValidationException", "message": "not for this key"}
        return 200, {"Signature": base64.b64encode(key.sign(message)).decode()}


class _Handler(BaseHTTPRequestHandler):
    server: Kms

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = self.server.answer(self.headers["X-Amz-Target"].partition(".")[2], request)
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def kms() -> Iterator[Kms]:
    with Kms(("127.0.0.1", 0), _Handler) as server:
        server.keys = {
            "alias/archive": Ed25519PrivateKey.generate(),
            "alias/p256": ec.generate_private_key(ec.SECP256R1()),
        }
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def client(kms: Kms) -> Any:
    return boto3.client(
        "kms",
        endpoint_url=f"http://127.0.0.1:{kms.server_address[1]}",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}),
    )


def test_a_chain_signed_by_kms_verifies_with_its_public_key(kms: Kms) -> None:
    made = KmsSigner(client(kms), "alias/archive")
    verifier = Verifier([kms.keys["alias/archive"].public_key().public_bytes(*RAW)])
    for record in chain(made, 3):
        verifier.feed(record)
    assert verifier.end().ok


def test_a_kms_key_of_another_kind_is_refused(kms: Kms) -> None:
    with pytest.raises(SigningError, match="ECC_NIST_EDWARDS25519 is needed"):
        _ = KmsSigner(client(kms), "alias/p256").key


@pytest.mark.parametrize(
    ("refusal", "passing"),
    [
        ((500, "KMSInternalException"), True),
        ((400, "ThrottlingException"), True),
        ((400, "AccessDeniedException"), False),
        ((400, "NotFoundException"), False),
    ],
)
def test_what_kms_refuses_is_said_and_whether_it_passes(kms: Kms, refusal: tuple[int, str], *, passing: bool) -> None:
    kms.refusal = refusal
    with pytest.raises(SigningError, match=refusal[1]) as caught:
        KmsSigner(client(kms), "alias/archive").sign(b"x")
    assert caught.value.passing is passing


def test_a_kms_that_does_not_answer_may_answer_later(kms: Kms) -> None:
    unreachable = client(kms)
    kms.shutdown()
    kms.server_close()
    with pytest.raises(SigningError, match="KMS did not answer") as caught:
        KmsSigner(unreachable, "alias/archive").sign(b"x")
    assert caught.value.passing


def test_a_file_signs_and_names_its_key_by_its_public_half() -> None:
    made = new_signer()
    Ed25519PublicKey.from_public_bytes(made.public_key).verify(made.sign(b"words"), b"words")
    assert made.key == key_id(made.public_key)
    assert len(made.key) == 16


@pytest.mark.parametrize("pem", ["", "nothing", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused_without_being_shown(pem: str) -> None:
    with pytest.raises(SigningError, match="openssl genpkey") as caught:
        FileSigner(pem)
    assert not pem or pem not in str(caught.value)


def test_a_key_of_another_kind_is_refused() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(SigningError, match="no Ed25519"):
        FileSigner(pem)
    with pytest.raises(SigningError, match="not an Ed25519 public key"):
        public_key_from(other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def test_public_keys_are_read_in_both_forms() -> None:
    made = new_signer()
    pem = Ed25519PublicKey.from_public_bytes(made.public_key).public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    assert public_key_from(pem.decode()) == made.public_key
    assert public_key_from(base64.b64encode(made.public_key).decode() + "\n") == made.public_key
    for wrong in ("", "AAAA", "not base64!", "-----BEGIN PUBLIC KEY-----"):
        with pytest.raises(SigningError):
            public_key_from(wrong)
