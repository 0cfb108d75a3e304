"""API keys on a real PostgreSQL, their secrets behind links and in (moto's) Secrets Manager."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import boto3
import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool
from pydantic import SecretStr

from activities.common.errors import NotFound, Refused
from activities.customers.api_keys import (
    ApiKeys,
    DeprecateKey,
    IssueKey,
    KeysRequest,
    RevokeKey,
    UsageRequest,
    VerifyRequest,
)
from activities.handovers.handovers import Handovers
from activities.handovers.links import HandoverLinks, is_waiting, open_once
from activities.handovers.secrets_manager import HandoverSecretsManager
from sandbox.aws import REGION, Aws
from tests.records_schema.fixtures import count, effect

ONE, TWO, THREE = "tsk_aaaaaaaa1", "tsk_aaaaaaaa2", "tsk_aaaaaaaa3"
WAITING = "ho_aaaaaaaa1"


@pytest.fixture
def links() -> HandoverLinks:
    return HandoverLinks(SecretStr("a secret of the settings"), "https://ops.example/", timedelta(days=7))


@pytest.fixture
def secrets_manager(aws: Aws) -> Any:
    return boto3.client(
        "secretsmanager", region_name=REGION, endpoint_url=aws.url, aws_access_key_id="x", aws_secret_access_key="y"
    )


@pytest.fixture(params=["links", "secrets-manager"])
def handovers(request: pytest.FixtureRequest, links: HandoverLinks, secrets_manager: Any) -> Handovers:
    if request.param == "links":
        return links
    return HandoverSecretsManager(secrets_manager, f"runbooks/{uuid4().hex}/")


@pytest.fixture
def sql(records_sql: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    for tenant in ("acme", "other"):
        records_sql.execute(
            "INSERT INTO runbooks.tenants (tenant_id, name, tier, email) VALUES (%s, %s, 'team', 'it@acme.test')",
            (tenant, tenant),
        )
    return records_sql


@pytest.fixture
def keys(sql: psycopg.Connection[Any], records_pool: ConnectionPool[Any], handovers: Handovers) -> ApiKeys:
    del sql
    return ApiKeys(records_pool, handovers)


def issue(
    key_id: str = ONE,
    *,
    replaces: str | None = None,
    tenant: str = "acme",
    dry_run: bool = False,
    handover: str = WAITING,
) -> IssueKey:
    return IssueKey(
        key_id=key_id,
        tenant_id=tenant,
        replaces=replaces,
        handover_id=handover,
        effect=effect(f"issue-{key_id}", dry_run=dry_run),
    )


def secret(sql: psycopg.Connection[Any], handovers: Handovers, key_id: str = ONE, handover: str = WAITING) -> str:
    with sql.cursor(row_factory=dict_row) as rows:
        contents = handovers.peek(rows, handover)
    assert contents is not None
    return contents[key_id]


def check(sql: psycopg.Connection[Any], key: str) -> tuple[bool, str]:
    row = sql.execute("SELECT accepted, reason FROM runbooks.check_api_key(%s)", (key,)).fetchone()
    assert row is not None
    return row[0], row[1]


def refused(act: Callable[[], object], error: type[BaseException], text: str) -> None:
    with pytest.raises(error, match=text):
        act()


def test_an_issued_key_works_and_only_its_hash_is_kept(
    keys: ApiKeys, sql: psycopg.Connection[Any], handovers: Handovers
) -> None:
    change = keys.issue(issue())
    assert (change.target, change.after, change.applied) == (f"api-key/{ONE}", "issued", True)
    key = secret(sql, handovers)
    assert len(key) > len(ONE) + 40
    assert check(sql, key) == (True, "")
    tables = sql.execute("SELECT relname FROM pg_class WHERE relnamespace = 'runbooks'::regnamespace AND relkind = 'r'")
    for (table,) in tables.fetchall():
        rows = sql.execute(f"SELECT t::text FROM runbooks.{table} t").fetchall()
        hidden = key.partition(".")[2]
        assert not [row for (row,) in rows if hidden in row or hidden.encode().hex() in row], table


def test_a_second_attempt_makes_no_second_key(
    keys: ApiKeys, sql: psycopg.Connection[Any], handovers: Handovers
) -> None:
    keys.issue(issue())
    key = secret(sql, handovers)
    assert not keys.issue(issue()).applied
    assert secret(sql, handovers) == key
    assert count(sql, "api_keys") == 1


def test_plan_mode_makes_nothing(keys: ApiKeys, sql: psycopg.Connection[Any], handovers: Handovers) -> None:
    assert not keys.issue(issue(dry_run=True)).applied
    assert count(sql, "api_keys") == count(sql, "handovers") == 0
    with sql.cursor(row_factory=dict_row) as rows:
        assert handovers.peek(rows, WAITING) is None


def test_a_key_has_one_successor(keys: ApiKeys) -> None:
    keys.issue(issue())
    keys.issue(issue(TWO, replaces=ONE, handover="ho_aaaaaaaa2"))
    third = issue(THREE, replaces=ONE, handover="ho_aaaaaaaa3")
    refused(lambda: keys.issue(third), Refused, f"has been replaced already, by {TWO}: rotate that one")
    assert [key.replaces for key in keys.of_tenant(KeysRequest(tenant_id="acme")).items] == [None, ONE]


def test_two_rotations_at_once_make_one_key(keys: ApiKeys) -> None:
    keys.issue(issue())

    def rotate(number: int) -> bool:
        try:
            return keys.issue(issue(f"tsk_racing{number:02}", replaces=ONE, handover=f"ho_racing{number:02}")).applied
        except Refused:
            return False

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(rotate, range(6))) == 1


@pytest.mark.parametrize(
    ("request_", "error", "text"),
    [
        (issue(tenant="nobody"), NotFound, "no tenant 'nobody'"),
        (issue(replaces="tsk_missing01"), NotFound, "no API key 'tsk_missing01'"),
    ],
)
def test_a_key_for_what_is_not_there_is_refused(
    keys: ApiKeys, request_: IssueKey, error: type[Exception], text: str
) -> None:
    refused(lambda: keys.issue(request_), error, text)


def test_a_key_of_another_tenant_is_not_replaced(keys: ApiKeys) -> None:
    keys.issue(issue())
    refused(lambda: keys.issue(issue(TWO, replaces=ONE, tenant="other")), Refused, "is not a key of other")


def test_deprecated_works_until_its_end_which_can_be_moved(
    keys: ApiKeys, sql: psycopg.Connection[Any], handovers: Handovers
) -> None:
    keys.issue(issue())
    key = secret(sql, handovers)
    soon = datetime.now(UTC) + timedelta(hours=24)
    grace = DeprecateKey(key_id=ONE, until=soon, effect=effect("grace"))
    assert keys.deprecate(grace).before == "active"
    assert not keys.deprecate(grace).applied
    assert check(sql, key) == (True, "")
    now = DeprecateKey(key_id=ONE, until=datetime.now(UTC), effect=effect("shorter"))
    assert keys.deprecate(now).before == f"deprecated until {soon:%F %T %Z}"
    assert check(sql, key) == (False, "expired")
    again = DeprecateKey(key_id=ONE, until=soon, effect=effect("again"))
    refused(lambda: keys.deprecate(again), Refused, "is expired already")


def test_a_revoked_key_is_refused_and_its_use_seen(
    keys: ApiKeys, sql: psycopg.Connection[Any], handovers: Handovers
) -> None:
    keys.issue(issue())
    key = secret(sql, handovers)
    revoke = RevokeKey(key_id=ONE, reason="compromised", effect=effect("revoke"))
    assert keys.revoke(revoke).before == "active"
    assert not keys.revoke(revoke).applied
    other = RevokeKey(key_id=ONE, reason="rotated", effect=effect("revoke-2"))
    assert not keys.revoke(other).applied, "by another run: it is revoked already"
    assert check(sql, key) == (False, "revoked")
    usage = keys.usage(UsageRequest(key_id=ONE, since=datetime.now(UTC) - timedelta(hours=1)))
    assert (usage.calls, usage.refused) == (0, 1)
    assert keys.of_tenant(KeysRequest(tenant_id="acme")).items[0].status == "revoked"


def test_a_compromised_key_ends_in_the_moment_in_which_the_new_one_begins(
    keys: ApiKeys, sql: psycopg.Connection[Any], handovers: Handovers
) -> None:
    keys.issue(issue())
    key = secret(sql, handovers)
    follow = issue(TWO, replaces=ONE, handover="ho_aaaaaaaa2").model_copy(update={"revoke_replaced": True})
    assert keys.issue(follow).note == f"follows {ONE}, which is revoked"
    assert not keys.issue(follow).applied
    assert check(sql, key) == (False, "revoked")
    assert check(sql, secret(sql, handovers, TWO, "ho_aaaaaaaa2")) == (True, "")


def test_a_deprecation_can_be_taken_back(keys: ApiKeys, sql: psycopg.Connection[Any], handovers: Handovers) -> None:
    keys.issue(issue())
    soon = datetime.now(UTC) + timedelta(hours=1)
    keys.deprecate(DeprecateKey(key_id=ONE, until=soon, effect=effect("grace")))
    assert keys.deprecate(DeprecateKey(key_id=ONE, until=None, effect=effect("back"))).after == "active"
    assert check(sql, secret(sql, handovers)) == (True, "")
    assert keys.of_tenant(KeysRequest(tenant_id="acme")).items[0].status == "active"


def test_usage_counts_from_an_hour_on(keys: ApiKeys, sql: psycopg.Connection[Any], handovers: Handovers) -> None:
    keys.issue(issue())
    now = datetime.now(UTC)
    for hours, calls in ((1, 5), (30, 7)):
        sql.execute(
            "SELECT runbooks.record_usage('acme', 'api_call', %s, 0, %s, %s)",
            (calls, ONE, now - timedelta(hours=hours)),
        )
    check(sql, secret(sql, handovers))
    day = keys.usage(UsageRequest(key_id=ONE, since=now - timedelta(hours=24)))
    week = keys.usage(UsageRequest(key_id=ONE, since=now - timedelta(days=7)))
    assert (day.calls, week.calls) == (6, 13)
    assert day.last_used_at is not None


def test_a_key_that_ends_by_rotation_stays_where_nothing_has_taken_its_place(
    keys: ApiKeys, sql: psycopg.Connection[Any], handovers: Handovers
) -> None:
    """Such as in records that were restored from before the new key."""
    keys.issue(issue())
    key = secret(sql, handovers)
    revoke = RevokeKey(key_id=ONE, reason="rotation", if_replaced=True, effect=effect("revoke"))
    refused(lambda: keys.revoke(revoke), Refused, "the records know of no key in the place of tsk_aaaaaaaa1")
    assert check(sql, key) == (True, "")
    keys.issue(issue(TWO, replaces=ONE, handover="ho_aaaaaaaa2"))
    assert keys.revoke(revoke).applied
    assert not keys.revoke(revoke).applied


def test_verifying_presents_the_key_while_it_waits_and_counts_as_no_use(
    keys: ApiKeys, sql: psycopg.Connection[Any]
) -> None:
    keys.issue(issue())
    request = VerifyRequest(key_id=ONE, handover_id=WAITING)
    verdict = keys.verify(request)
    assert (verdict.accepted, verdict.presented) == (True, True)
    assert count(sql, "tenant_usage") == 0
    keys.revoke(RevokeKey(key_id=ONE, reason="rotated", effect=effect("revoke")))
    assert str(keys.verify(request)) == f"{ONE} is refused (revoked)"
    assert str(keys.verify(VerifyRequest(key_id=ONE))) == f"{ONE} is refused (revoked), by the rule"
    unknown = VerifyRequest(key_id="tsk_missing01")
    refused(lambda: keys.verify(unknown), NotFound, "no API key")


@pytest.fixture
def link(
    sql: psycopg.Connection[Any], records_pool: ConnectionPool[Any], links: HandoverLinks
) -> Iterator[tuple[str, psycopg.Cursor[Any]]]:
    ApiKeys(records_pool, links).issue(issue())
    where = links.where(WAITING)
    assert where.startswith("https://ops.example/handover/")
    with sql.cursor(row_factory=dict_row) as rows:
        yield where.rpartition("/")[2], rows


def test_a_link_opens_once(link: tuple[str, psycopg.Cursor[Any]], sql: psycopg.Connection[Any]) -> None:
    token, rows = link
    assert is_waiting(rows, token)
    assert is_waiting(rows, token), "looking does not open it"
    contents = open_once(rows, token)
    assert contents is not None
    assert check(sql, contents[ONE]) == (True, "")
    assert open_once(rows, token) is None
    assert not is_waiting(rows, token)
    assert sql.execute("SELECT sealed, opened_at IS NOT NULL FROM runbooks.handovers").fetchone() == (None, True)


def test_of_many_who_open_it_at_once_one_sees_it(link: tuple[str, psycopg.Cursor[Any]], records_url: str) -> None:
    token, _ = link

    def open_it(_: int) -> bool:
        with psycopg.connect(records_url, row_factory=dict_row) as connection, connection.cursor() as rows:
            return open_once(rows, token) is not None

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(open_it, range(8))) == 1


def test_an_expired_link_shows_nothing(link: tuple[str, psycopg.Cursor[Any]], sql: psycopg.Connection[Any]) -> None:
    token, rows = link
    sql.execute("UPDATE runbooks.handovers SET expires_at = clock_timestamp()")
    assert not is_waiting(rows, token)
    assert open_once(rows, token) is None


def test_a_wrong_link_shows_nothing(link: tuple[str, psycopg.Cursor[Any]]) -> None:
    token, rows = link
    assert open_once(rows, token[:-1] + ("A" if token[-1] != "A" else "B")) is None
    assert is_waiting(rows, token)


def test_what_an_attempt_left_in_secrets_manager_is_the_key(
    sql: psycopg.Connection[Any], records_pool: ConnectionPool[Any], secrets_manager: Any
) -> None:
    handovers = HandoverSecretsManager(secrets_manager, f"runbooks/{uuid4().hex}/")

    class Dies(HandoverSecretsManager):
        def keep(self, *arguments: Any) -> Any:
            handovers.keep(*arguments)
            raise KeyboardInterrupt("killed before the hash was written")

    refused(lambda: ApiKeys(records_pool, Dies(secrets_manager, "")).issue(issue()), KeyboardInterrupt, "killed")
    assert count(sql, "api_keys") == 0
    key = secret(sql, handovers)
    ApiKeys(records_pool, handovers).issue(issue())
    assert secret(sql, handovers) == key
    assert check(sql, key) == (True, "")
