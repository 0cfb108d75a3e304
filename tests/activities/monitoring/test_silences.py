"""Silences on a real Alertmanager: once whatever dies, and never against what a person has done meanwhile."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from activities.common.errors import Refused, Unavailable
from activities.monitoring.silences import LiftSilence, SetSilence, Silences
from sandbox.alertmanager import Alertmanager
from sandbox.probes import wait_until
from sandbox.ready import ready
from tests.records_schema.fixtures import effect

pytestmark = pytest.mark.servers

LABELS = {"service": "tensafe-server"}


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    with ready(Alertmanager(tmp_path_factory.mktemp("alertmanager"), webhook_url="http://127.0.0.1:1/hook")) as server:
        yield server


class Api:
    """What a person sees and does there."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=f"{url}/api/v2", trust_env=False)

    def of(self, hold: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.http.get("/silences").raise_for_status().json()
        return [item for item in items if f" {hold} " in item["comment"]]

    def live(self, hold: str) -> list[dict[str, Any]]:
        return [item for item in self.of(hold) if item["status"]["state"] != "expired"]

    def edit(self, silence: dict[str, Any], **changes: Any) -> str:
        known = {name: silence[name] for name in ("id", "matchers", "startsAt", "endsAt", "comment")}
        answer = self.http.post("/silences", json={**known, "createdBy": "ada", **changes})
        return str(answer.raise_for_status().json()["silenceID"])

    def expire(self, silence: dict[str, Any]) -> None:
        self.http.delete(f"/silence/{silence['id']}").raise_for_status()

    def muted(self) -> bool:
        alert = {"labels": {"alertname": "Down", **LABELS}, "startsAt": datetime.now(UTC).isoformat()}
        self.http.post("/alerts", json=[alert]).raise_for_status()
        found = self.http.get("/alerts").raise_for_status().json()
        return any(each["status"]["silencedBy"] for each in found if each["labels"]["alertname"] == "Down")


@pytest.fixture
def api(alertmanager: Alertmanager) -> Iterator[Api]:
    made = Api(alertmanager.url)
    yield made
    for item in made.http.get("/silences").json():
        if item["status"]["state"] != "expired":
            made.expire(item)
    made.http.close()


@pytest.fixture
def hold(request: pytest.FixtureRequest) -> str:
    """A hold of the test's own: Alertmanager goes on listing what other tests have left."""
    return f"MW-{request.node.name}".replace("[", "-").replace("]", "")


class Dying(httpx.BaseTransport):
    """Carries the next POST out, and dies before the answer: what a killed worker, or a cut cable, leaves."""

    def __init__(self) -> None:
        self._real = httpx.HTTPTransport()
        self.dies = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._real.handle_request(request)
        if self.dies and request.method == "POST":
            answer.read()
            self.dies = False
            raise httpx.ReadError("cut off", request=request)
        return answer


@pytest.fixture
def wire() -> Dying:
    return Dying()


@pytest.fixture
def silences(alertmanager: Alertmanager, wire: Dying) -> Iterator[Silences]:
    with httpx.Client(transport=wire) as http:
        yield Silences(http, alertmanager.url)


def until(minutes: float) -> datetime:
    return datetime.now(UTC) + timedelta(minutes=minutes)


def asked(hold: str, ends_at: datetime, step: str = "silence", **fields: Any) -> SetSilence:
    return SetSilence(
        hold=hold,
        labels=fields.pop("labels", LABELS),
        ends_at=ends_at,
        comment='Database "upgrade"',
        effect=effect(step, **fields),
    )


def lift(hold: str, **fields: Any) -> LiftSilence:
    return LiftSilence(hold=hold, effect=effect("lift", **fields))


def test_alerts_are_muted_until_it_is_lifted(silences: Silences, api: Api, hold: str) -> None:
    assert not api.muted()
    change = silences.set(asked(hold, until(60)))
    assert change.applied
    assert "service=tensafe-server" in str(change)
    wait_until(api.muted)
    (mine,) = api.live(hold)
    assert mine["comment"].startswith('Database "upgrade" [durable-runbooks MW-')
    lifted = silences.lift(lift(hold))
    assert (lifted.applied, lifted.after) == (True, "lifted")
    assert api.live(hold) == []
    wait_until(lambda: not api.muted())
    again = silences.lift(lift(hold))
    assert (again.applied, again.note) == (False, "none was left")


def test_a_retry_after_a_lost_answer_finds_it(silences: Silences, api: Api, wire: Dying, hold: str) -> None:
    ends_at = until(60)
    wire.dies = True
    with pytest.raises(Unavailable, match="Alertmanager did not answer"):
        silences.set(asked(hold, ends_at))
    again = silences.set(asked(hold, ends_at))
    assert (again.applied, again.note) == (False, "silenced already")
    assert len(api.of(hold)) == 1


def test_two_runs_have_one_each(silences: Silences, api: Api, hold: str) -> None:
    for name in (f"{hold}-1", f"{hold}-2"):
        assert silences.set(asked(name, until(60))).applied
    silences.lift(lift(f"{hold}-1"))
    assert (len(api.live(f"{hold}-1")), len(api.live(f"{hold}-2"))) == (0, 1)


def test_an_extension_keeps_the_silence(silences: Silences, api: Api, wire: Dying, hold: str) -> None:
    silences.set(asked(hold, until(60)))
    (before,) = api.live(hold)
    later = until(90)
    wire.dies = True
    with pytest.raises(Unavailable):
        silences.set(asked(hold, later, "extend"))
    assert silences.set(asked(hold, later, "extend")).note == "silenced already"
    (after,) = api.of(hold)
    assert (after["id"], after["status"]["state"]) == (before["id"], "active")
    assert datetime.fromisoformat(after["endsAt"]) - later < timedelta(seconds=1)
    shorter = silences.set(asked(hold, until(30), "shorter"))
    assert (shorter.applied, shorter.note) == (False, "silenced already")


def test_what_two_attempts_at_a_time_have_left_is_one_in_the_end(silences: Silences, api: Api, hold: str) -> None:
    silences.set(asked(hold, until(60)))
    (mine,) = api.live(hold)
    api.edit({**mine, "id": ""})  # the POST that came late
    assert len(api.live(hold)) == 2
    silences.set(asked(hold, until(90), "extend"))
    assert len(api.live(hold)) == 1
    silences.lift(lift(hold))
    assert api.live(hold) == []


def test_all_that_is_left_of_it_is_lifted(silences: Silences, api: Api, hold: str) -> None:
    silences.set(asked(hold, until(60)))
    (mine,) = api.live(hold)
    api.edit({**mine, "id": ""})
    assert silences.lift(lift(hold)).note == "2 silences of ours"
    assert api.live(hold) == []


def test_one_that_a_person_has_lifted_is_not_set_again(silences: Silences, api: Api, wire: Dying, hold: str) -> None:
    ends_at = until(60)
    wire.dies = True
    with pytest.raises(Unavailable):
        silences.set(asked(hold, ends_at))
    api.expire(api.live(hold)[0])
    for step, wanted in (("silence", ends_at), ("extend", until(90))):
        change = silences.set(asked(hold, wanted, step))
        assert (change.applied, change.after, change.note) == (
            False,
            "not silenced",
            "it was lifted since: it stays so",
        )
    assert api.live(hold) == []


def test_one_that_ran_out_is_set_again(silences: Silences, api: Api, hold: str) -> None:
    silences.set(asked(hold, datetime.now(UTC) + timedelta(seconds=4)))
    wait_until(lambda: api.live(hold) == [])
    assert silences.set(asked(hold, until(60), "extend")).applied
    assert len(api.live(hold)) == 1


def test_one_that_a_person_has_made_last_longer_stays_theirs(silences: Silences, api: Api, hold: str) -> None:
    silences.set(asked(hold, until(60)))
    theirs = until(600)
    kept = api.edit(api.live(hold)[0], endsAt=theirs.isoformat())
    change = silences.set(asked(hold, until(90), "extend"))
    assert (change.applied, change.note) == (False, "people have made it last longer")
    lifted = silences.lift(lift(hold))
    assert not lifted.applied
    assert f"people have made it last until {theirs:%Y-%m-%d %H:%M:%S}Z: it stays" in lifted.note
    assert [each["id"] for each in api.live(hold)] == [kept]


def test_changed_matchers_make_another_one_which_is_still_ours(silences: Silences, api: Api, hold: str) -> None:
    silences.set(asked(hold, until(60)))
    (before,) = api.live(hold)
    narrower = [*before["matchers"], {"name": "severity", "value": "P3", "isRegex": False, "isEqual": True}]
    new = api.edit(before, matchers=narrower)
    assert new != before["id"]
    change = silences.set(asked(hold, until(90), "extend"))
    assert (change.applied, change.note) == (True, "people have changed what it matches: that stays")
    (after,) = api.live(hold)
    assert (after["id"], len(after["matchers"])) == (new, 2)
    silences.lift(lift(hold))
    assert api.live(hold) == []


def test_people_s_own_silences_are_left_alone(silences: Silences, api: Api, hold: str) -> None:
    silences.set(asked(hold, until(60)))
    (mine,) = api.live(hold)
    theirs = api.edit({**mine, "id": ""}, comment="DNS work")
    silences.lift(lift(hold))
    found = {each["id"]: each["status"]["state"] for each in api.http.get("/silences").json()}
    assert found[theirs] == "active"


def test_a_plan_changes_nothing(silences: Silences, api: Api, hold: str) -> None:
    planned = silences.set(asked(hold, until(60), dry_run=True))
    assert not planned.applied
    assert api.of(hold) == []
    silences.set(asked(hold, until(60)))
    assert not silences.lift(lift(hold, dry_run=True)).applied
    assert len(api.live(hold)) == 1


def test_what_alertmanager_refuses_is_said(silences: Silences, hold: str) -> None:
    with pytest.raises(Refused, match="Alertmanager answered 400: Failed to create silence"):
        silences.set(asked(hold, until(-5)))


def test_without_an_alertmanager_nothing_is_silenced(hold: str) -> None:
    with httpx.Client() as http:
        nowhere = Silences(http, None)
        for change in (nowhere.set(asked(hold, until(60))), nowhere.lift(lift(hold))):
            assert (change.applied, change.after) == (False, "not silenced")


def test_nobody_there_is_a_passing_fault(hold: str) -> None:
    with httpx.Client() as http, pytest.raises(Unavailable, match="Alertmanager did not answer"):
        Silences(http, "http://127.0.0.1:1").set(asked(hold, until(60)))
