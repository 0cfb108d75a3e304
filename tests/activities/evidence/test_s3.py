"""What an S3 store asks for, and what it makes of the answers."""

import hashlib
import socket
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from activities.common.errors import Refused, Unavailable
from activities.evidence.s3 import S3Store
from tests.activities.evidence.evidence_fixtures import kept_as


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")


@pytest.fixture(scope="module")
def store() -> S3Store:
    """Give one below a prefix, with credentials that are never sent."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "id")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        return S3Store(
            "evidence", "/kept/", endpoint_url="http://127.0.0.1:1", region="us-east-1", lock_for=timedelta(days=30)
        )


@pytest.fixture
def asked(store: S3Store) -> Iterator[tuple[S3Store, Stubber]]:
    """Give it with the SDK's own stand-in for AWS, which checks what is asked of it."""
    with Stubber(store._s3) as stubber:
        yield store, stubber
        stubber.assert_no_pending_responses()


def test_s3_that_is_not_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(Unavailable, match="EndpointConnectionError") as caught:
        S3Store("evidence", endpoint_url=url, region="us-east-1").find("a")
    assert "very-secret" not in str(caught.value)


KEPT = kept_as(b"x")


def written() -> dict[str, Any]:
    digest = hashlib.sha256(b"x").digest()
    return {
        "Bucket": "evidence",
        "Key": "kept/incidents/a/b.txt",
        "Body": ANY,
        "ContentType": "text/plain",
        "ChecksumAlgorithm": "SHA256",
        "ChecksumSHA256": b64encode(digest).decode(),
        "Metadata": {"effect": "e", "sha256": digest.hex(), "detail": "1%20line%2C%20%C3%BC"},
        "IfNoneMatch": "*",
        "ObjectLockMode": "COMPLIANCE",
        "ObjectLockRetainUntilDate": ANY,
    }


def create(store: S3Store) -> bool:
    return store.create("incidents/a/b.txt", BytesIO(b"x"), KEPT, "text/plain")


def test_an_object_is_written_with_its_digest_and_only_where_none_is(asked: tuple[S3Store, Stubber]) -> None:
    store, stubber = asked
    stubber.add_response("put_object", {}, written())
    assert create(store)


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict"])
def test_where_one_is_already_it_is_not_made(asked: tuple[S3Store, Stubber], code: str) -> None:
    store, stubber = asked
    stubber.add_client_error("put_object", code, http_status_code=412)
    assert not create(store)


def test_a_write_that_is_denied_is_refused(asked: tuple[S3Store, Stubber]) -> None:
    store, stubber = asked
    stubber.add_client_error("put_object", "AccessDenied", http_status_code=403)
    with pytest.raises(Refused, match="S3 answered 403 AccessDenied"):
        create(store)


def test_it_is_locked_for_as_long_as_settings_say(asked: tuple[S3Store, Stubber]) -> None:
    store, stubber = asked
    stubber.add_response("put_object", {}, written())
    until: list[datetime] = []

    def seen(params: Any, **_: Any) -> None:
        until.append(params["ObjectLockRetainUntilDate"])

    store._s3.meta.events.register("provide-client-params.s3.PutObject", seen)
    before = datetime.now(UTC)
    try:
        assert create(store)
    finally:
        store._s3.meta.events.unregister("provide-client-params.s3.PutObject", seen)
    assert before + timedelta(days=30) <= until[0] <= datetime.now(UTC) + timedelta(days=30)


def test_what_is_missing_is_told_from_what_is_denied(asked: tuple[S3Store, Stubber]) -> None:
    store, stubber = asked
    stubber.add_client_error("head_object", "404", http_status_code=404)
    assert store.find("a") is None
    stubber.add_client_error("head_object", "403", http_status_code=403)
    with pytest.raises(Refused, match="S3 answered 403"):
        store.find("a")


def test_an_object_that_somebody_else_has_put_there_belongs_to_no_effect(asked: tuple[S3Store, Stubber]) -> None:
    store, stubber = asked
    stubber.add_response("head_object", {"ContentLength": 5, "Metadata": {}}, {"Bucket": "evidence", "Key": "kept/a"})
    found = store.find("a")
    assert found is not None
    assert (found.uri, found.size, found.effect, found.sha256) == ("s3://evidence/kept/a", 5, "", "")


def test_keys_are_those_of_the_store_and_of_all_pages(asked: tuple[S3Store, Stubber]) -> None:
    store, stubber = asked
    where = {"Bucket": "evidence", "Prefix": "kept/heads/"}
    more = {"IsTruncated": True, "NextContinuationToken": "t", "Contents": [{"Key": "kept/heads/1.json"}]}
    stubber.add_response("list_objects_v2", more, where)
    last = {"IsTruncated": False, "Contents": [{"Key": "kept/heads/kept/2.json"}]}
    stubber.add_response("list_objects_v2", last, {**where, "ContinuationToken": "t"})
    assert store.keys("heads/") == ["heads/1.json", "heads/kept/2.json"]
    stubber.add_response("list_objects_v2", {"IsTruncated": False}, where)
    assert store.keys("heads/") == []


def test_without_a_prefix_and_a_lock_an_object_is_what_it_is_called() -> None:
    store = S3Store("evidence", "/", endpoint_url="http://127.0.0.1:1", region="us-east-1")
    plain = {name: value for name, value in written().items() if not name.startswith("ObjectLock")}
    with Stubber(store._s3) as stubber:
        stubber.add_response("put_object", {}, {**plain, "Key": "incidents/a/b.txt"})
        assert create(store)
    assert store.uri("k") == "s3://evidence/k"
