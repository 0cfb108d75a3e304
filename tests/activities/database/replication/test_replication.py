"""Replication on real servers: who answers whom, one primary at a time, and nothing twice."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from activities.common.errors import Refused, Unavailable
from sandbox.ports import free_port
from sandbox.ready import ready
from sandbox.service_database import ServiceDatabase
from tests.activities.database.on_replicas import OnReplicas, within
from tests.activities.kubernetes.on_cluster import an_effect, eventually

Start = Callable[..., ServiceDatabase]
WATCH = {"primary": "primary", "probes": 3, "every": timedelta(seconds=0.3), "timeout": timedelta(seconds=20)}
PROMOTE = {"server": "replica-1", "others": ("primary",), "timeline": 1, "within": timedelta(minutes=4)}


@pytest.fixture
def servers(start_service_database: Start) -> OnReplicas:
    return OnReplicas(start_service_database())


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnReplicas]:
    """For tests that leave it as it was."""
    with ready(ServiceDatabase(tmp_path_factory.mktemp("unharmed"))) as database:
        yield OnReplicas(database)


def elsewhere(url: str, *, port: int | None = None, password: str | None = None) -> str:
    parts = urlsplit(url)
    user = f"{parts.username}:{password or parts.password}"
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.hostname}:{port or parts.port}"))


def test_a_primary_that_answers_ends_the_watch_at_once(unharmed: OnReplicas):
    with within(60):
        found = unharmed.do("watch", **{**WATCH, "every": timedelta(minutes=2)}, replicas=("replica-1",))
    assert found.answers
    assert "worker: answers, takes writes" in str(found)


def test_a_killed_primary_is_silent_from_everywhere(servers: OnReplicas):
    begun = datetime.now(UTC)
    servers.database.kill("primary")
    # Three probes take less than a second: a busy machine's replica may hear of it later.
    eventually(lambda: not servers.do("standing", servers=("replica-1",)).servers["replica-1"].streaming)
    found = servers.do("watch", **WATCH, replicas=("replica-1",))
    assert (found.answers, found.failed) == (False, 3)
    assert begun < found.first_failed_at < datetime.now(UTC)
    said = {place.name: place.detail for place in found.places}
    assert said == {"worker": "no answer (Connection refused)", "replica-1": "has lost its connection to it"}


def test_a_replica_that_hears_from_it_is_believed(unharmed: OnReplicas):
    """The worker alone is cut off: its way to the primary is wrong, and the replica's is not."""
    cut_off = OnReplicas(unharmed.database, primary=elsewhere(unharmed.database.url("primary"), port=free_port()))
    found = cut_off.do("watch", **{**WATCH, "probes": 40}, replicas=("replica-1",))
    assert found.answers
    said = {place.name: place for place in found.places}
    assert not said["worker"].answers
    assert "heard from it" in said["replica-1"].detail


def test_a_primary_that_lets_nobody_in_lives(unharmed: OnReplicas):
    shut_out = OnReplicas(unharmed.database, primary=elsewhere(unharmed.database.url("primary"), password="wrong"))
    found = shut_out.do("watch", **WATCH)
    assert found.answers
    assert str(found.places[0]) == "worker: lets nobody in (password authentication failed)"


def test_a_standby_is_no_primary(unharmed: OnReplicas):
    found = unharmed.do("watch", **{**WATCH, "primary": "replica-1"})
    assert not found.answers
    assert found.places[0].detail == "answers as a standby, takes no writes"


def test_how_far_each_server_is(servers: OnReplicas):
    servers.write("primary")
    eventually(lambda: servers.count("replica-1") == 1)
    found = servers.do("standing", servers=("primary", "replica-1", "spare-1")).servers
    primary, replica = found["primary"], found["replica-1"]
    assert (primary.in_recovery, replica.in_recovery, found["spare-1"].reachable) == (False, True, False)
    assert primary.system_identifier == replica.system_identifier
    assert (primary.timeline, replica.timeline) == (1, 1)
    assert (replica.upstream, replica.streaming, replica.paused) == ("primary", True, False)
    assert replica.last_commit_at > datetime.now(UTC) - timedelta(minutes=5)
    servers.sql("replica-1", "SELECT pg_wal_replay_pause()")
    assert "replay PAUSED" in str(servers.do("standing", servers=("replica-1",)))
    servers.sql("replica-1", "ALTER SYSTEM SET recovery_min_apply_delay = '8h'")
    servers.sql("replica-1", "SELECT pg_reload_conf()")
    servers.write("primary")
    eventually(lambda: servers.do("standing", servers=("replica-1",)).servers["replica-1"].unreplayed)
    delayed = servers.do("standing", servers=("replica-1",))
    assert delayed.servers["replica-1"].delay == timedelta(hours=8)
    assert "KEPT 8 h BEHIND" in str(delayed)
    servers.database.kill("primary")
    eventually(lambda: not servers.do("standing", servers=("replica-1",)).servers["replica-1"].streaming)
    cut = servers.do("standing", servers=("replica-1",)).servers["replica-1"]
    assert (cut.upstream, cut.timeline) == ("primary", 1)
    assert cut.position >= replica.position


def test_never_two_primaries(unharmed: OnReplicas):
    with pytest.raises(Refused, match="primary takes writes"):
        unharmed.do("promote", **PROMOTE, effect=an_effect())
    shut_out = OnReplicas(unharmed.database, primary=elsewhere(unharmed.database.url("primary"), password="wrong"))
    with pytest.raises(Refused, match="primary takes writes"):
        shut_out.do("promote", **PROMOTE, effect=an_effect())
    planned = unharmed.do("promote", **PROMOTE, effect=an_effect(dry_run=True))
    assert (planned.applied, planned.note) == (False, "refused as long as primary takes writes")
    assert unharmed.sql("replica-1", "SELECT pg_is_in_recovery()")


def test_promoted_once_with_all_it_has_and_nothing_waits_for_those_who_are_gone(servers: OnReplicas):
    """Its replay is paused, and its settings want a synchronous standby that is not there."""
    servers.write("primary")
    eventually(lambda: servers.count("replica-1") == 1)
    servers.sql("replica-1", "SELECT pg_wal_replay_pause()")
    servers.sql("replica-1", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    servers.sql("replica-1", "SELECT pg_reload_conf()")
    position = servers.sql("primary", "SELECT pg_current_wal_lsn()")
    servers.write("primary")
    servers.write("primary", "before the end")
    eventually(lambda: servers.sql("replica-1", f"SELECT pg_last_wal_receive_lsn() > '{position}'::pg_lsn"))
    eventually(
        lambda: (
            servers.sql("primary", "SELECT pg_current_wal_lsn()")
            == servers.sql("replica-1", "SELECT pg_last_wal_receive_lsn()")
        )
    )
    servers.database.kill("primary")
    key = an_effect()
    first = servers.do("promote", **PROMOTE, effect=key)
    assert (first.applied, first.timeline) == (True, 2)
    assert "synchronous_standby_names = 'nobody' set aside" in first.note
    assert first.last_commit_at < first.at < datetime.now(UTC) + timedelta(seconds=1)
    with within(60):
        servers.write("replica-1", "after")
    assert [servers.count("replica-1", kind) for kind in ("test", "before the end", "after")] == [2, 1, 1]
    again = servers.do("promote", **PROMOTE, effect=key)
    assert (again.applied, again.timeline, again.note) == (False, 2, "done by an earlier attempt")
    assert again.replayed == first.replayed


def test_a_server_that_was_never_a_replica_is_not_promoted(unharmed: OnReplicas):
    with pytest.raises(Refused, match="a primary of its own"):
        unharmed.do("promote", **{**PROMOTE, "server": "primary", "others": ()}, effect=an_effect())


def test_a_replica_that_is_killed_is_promoted_when_it_is_back(servers: OnReplicas):
    servers.database.kill("primary")
    servers.database.kill("replica-1")
    key = an_effect()
    with pytest.raises(Unavailable):
        servers.do("promote", **PROMOTE, effect=key)
    servers.database.do("start", "replica-1")
    assert servers.do("promote", **PROMOTE, effect=key).applied


def test_the_other_replica_follows(servers: OnReplicas):
    servers.second_replica()
    servers.write("primary")
    servers.database.kill("primary")
    promoted = servers.do("promote", **PROMOTE, effect=an_effect())
    follow: dict[str, Any] = {
        "server": "spare-1",
        "source": "replica-1",
        "timeline": promoted.timeline,
        "within": timedelta(minutes=4),
    }
    assert not servers.do("follow", **follow, effect=an_effect(dry_run=True)).applied
    key = an_effect()
    change = servers.do("follow", **follow, effect=key)
    assert change.applied
    servers.write("replica-1", "after")
    eventually(lambda: servers.count("spare-1", "after") == 1)
    again = servers.do("follow", **follow, effect=key)
    assert not again.applied
    conninfo = str(servers.sql("spare-1", "SHOW primary_conninfo"))
    assert f"port={servers.database.ports['replica-1']}" in conninfo
    assert "user=" in conninfo
    assert "user=" not in change.model_dump_json() + again.model_dump_json()
    assert servers.sql("replica-1", "SELECT active FROM pg_replication_slots WHERE slot_name = 'spare_1'")
    logs = "".join(log.read_text() for log in servers.database.directory.glob("*.log"))
    assert "ALTER SYSTEM" not in logs


def test_one_that_cannot_follow_says_so(servers: OnReplicas):
    """It has log of the old primary that the new one never got."""
    servers.second_replica()
    servers.database.do("stop", "replica-1")
    servers.write("primary")
    eventually(lambda: servers.count("spare-1") == 1)
    servers.database.kill("primary")
    servers.database.do("start", "replica-1")
    promoted = servers.do("promote", **PROMOTE, effect=an_effect())
    with pytest.raises(Refused, match="make it anew"):
        servers.do(
            "follow",
            server="spare-1",
            source="replica-1",
            timeline=promoted.timeline,
            within=timedelta(seconds=3),
            effect=an_effect(),
        )
    assert servers.count("replica-1") == 0
