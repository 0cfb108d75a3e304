"""Random sequences of what a night may bring: what must hold whatever comes after what.

Releases good and bad beside us, alerts of any pod, 2.2, 3.1, 3.2, 4.1, 4.2 and 7.3 begun by people, another
installation's restore that keeps the service stopped, people's answers, and a worker that dies and comes back; on a
real Temporal, with a cluster that is a model. What runs tell of the service is held against what it was like, second by
second. `RUNBOOKS_SEQUENCES=50` tries more than the few that are tried every time, and makes small what fails.
"""

import asyncio
import os
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.catalogue.run_ids import run_id
from activities.catalogue.service import IncidentPolicy, ScalingPolicy
from activities.records.alerts import Alert
from audit.live import fetch
from audit.payloads import Decoder
from audit.report_reading import reached
from tests.workflows.steering import Handle
from tests.workflows.worlds.damaged import BETWEEN
from tests.workflows.worlds.habits import Habits
from workers.clients import connect
from workers.registry import PROCEDURES, procedure
from workers.settings import TemporalSettings
from workers.worker import build
from workflows.incident_response.incident_words import Closing
from workflows.incident_response.p1_incident import P1Request, P1Result
from workflows.platform.approval import Decision
from workflows.platform.run_status import RunStatus

SEQUENCES = int(os.environ.get("RUNBOOKS_SEQUENCES", "4"))
MANY = 10
"""From here on what fails is made small."""
RPC = timedelta(seconds=30)
LEASE = timedelta(seconds=2)
ENDS_WITHIN = 120
"""Seconds, on a machine that does much else."""
MOST_EVENTS = 1500
"""Of one run in a night: a run that goes round in circles has more."""
ADA = {"who": "ada", "role": "engineering-lead"}
VERSION = "v3.0"

BEGUN = [
    "manual_scale_up",
    "emergency_scale_up",
    "rollback",
    "standard_deployment",
    "p1_incident",
    "point_in_time_restore",
]
step = st.one_of(
    st.tuples(st.just("release"), st.sampled_from(["good", "bad"])),
    st.tuples(st.just("alert"), st.integers(0, 4)),
    st.tuples(st.just("begin"), st.sampled_from(BEGUN)),
    st.tuples(st.just("restore"), st.sampled_from(["begins", "ends"])),
    st.tuples(st.just("crash"), st.just("")),
    st.tuples(st.just("answer"), st.integers(0, 3)),
    st.tuples(st.just("pass"), st.just(1)),
    st.tuples(st.just("worker"), st.just("dies")),
)
REQUESTS: dict[str, dict[str, Any]] = {
    "manual_scale_up": {"target": "+2"},
    "emergency_scale_up": {},
    "rollback": {},
    "standard_deployment": {"version": VERSION},
    "p1_incident": {"title": "It is down, says a customer"},
    "point_in_time_restore": {"target_time": BETWEEN, "forensics": 0},
}
SEEN_WITHIN = timedelta(seconds=8)
"""So long after the service has changed a run may still say what it was like before: looks, retries, a dead worker."""
A_SHARE = 10
"""The longer nothing has changed, the less often a run looks: in a tenth of that time (`workflows/…/watch.py`)."""


class Night:
    """One sequence: its world, its worker, and the runs that were begun."""

    def __init__(self, client: Client) -> None:
        policy = IncidentPolicy(decision_timeout=timedelta(minutes=30), watch_every=timedelta(milliseconds=300))
        self.service = f"night-{uuid4().hex[:12]}"
        self.p1 = run_id("p1-incident", self.service)
        scaling = ScalingPolicy(lease=LEASE, longest_lease=LEASE)
        self.world = Habits(self.service, incident=policy, scaling=scaling)
        self.client = client
        self.queue = f"q-{self.service}"
        self.runs: list[Handle] = []
        self.worker: Worker
        self.firing = 0

    def _work(self) -> Worker:
        kinds = [known.workflow for known in PROCEDURES]
        return build(self.client, TemporalSettings(task_queue=self.queue), self.world.activities(), workflows=kinds)

    async def play(self, steps: list[tuple[str, Any]]) -> None:
        self.worker = self._work()
        await self.worker.__aenter__()
        try:
            for what, which in steps:
                await getattr(self, f"_{what}")(which)
                await self._calm()
            await self._end()
        finally:
            for run in self.runs:
                with suppress(RPCError):
                    await run.terminate()
            await self.worker.__aexit__(None, None, None)

    # -- steps ---------------------------------------------------------------------------------------------

    async def _release(self, which: str) -> None:
        if not self.world.stopped_by:
            self.world.release(bad=which == "bad")

    async def _crash(self, _which: str) -> None:
        self.world.sick = True
        self.world.settle()

    async def _alert(self, pod: int) -> None:
        self.firing += 1
        alert = Alert(
            source="alertmanager",
            fingerprint=f"f{pod}",
            name="KubePodCrashLooping",
            labels={"pod": f"p-{pod}"},
            starts_at=datetime(2026, 2, 4, 3, tzinfo=UTC) + timedelta(minutes=self.firing),
        )
        # As the webhook does: start it, or tell the one that is open.
        request = P1Request(service=self.service, alert=alert)
        self.runs.append(
            await self.client.start_workflow(
                "P1Incident",
                request,
                id=self.p1,
                task_queue=self.queue,
                start_signal="alerts",
                start_signal_args=[[alert]],
            )
        )

    async def _begin(self, name: str) -> None:
        request = procedure(name).request.model_validate({**REQUESTS[name], "service": self.service})
        its_own = self.p1 if name == "p1_incident" else f"{name}/{self.service}/{len(self.runs)}"
        with suppress(WorkflowAlreadyStartedError):  # a person is told that it is open
            self.runs.append(
                await self.client.start_workflow(
                    procedure(name).workflow_type, request, id=its_own, task_queue=self.queue
                )
            )

    async def _restore(self, which: str) -> None:
        self.world.stop() if which == "begins" else self.world.start()

    async def _answer(self, which: int) -> None:
        for run in self.runs:
            for question in await self._questions(run):
                choice = list(question.options)[which % len(question.options)]
                with suppress(WorkflowUpdateFailedError, RPCError):
                    word = Decision(**ADA, question=question.id, choice=choice, reason="so says a test")
                    await run.execute_update("decide", word, rpc_timeout=RPC)

    async def _pass(self, seconds: int) -> None:
        await asyncio.sleep(seconds)

    async def _worker(self, _which: str) -> None:
        await self.worker.__aexit__(None, None, None)
        self.worker = self._work()  # its cache is empty: every run is replayed
        await self.worker.__aenter__()

    # -- looking -------------------------------------------------------------------------------------------

    async def _status(self, run: Handle) -> RunStatus | None:
        try:
            found: RunStatus = await run.query("status", result_type=RunStatus, rpc_timeout=RPC)
        except (RPCError, WorkflowQueryFailedError):
            return None
        return found

    async def _open(self, run: Handle) -> bool:
        return (await run.describe(rpc_timeout=RPC)).status is WorkflowExecutionStatus.RUNNING

    async def _questions(self, run: Handle) -> list[Any]:
        status = await self._status(run) if await self._open(run) else None
        return list(status.questions) if status else []

    @property
    def _each(self) -> list[Handle]:
        return list({run.id: run for run in self.runs}.values())

    async def _calm(self) -> None:
        """Wait until no run has anything in flight but waits."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            described = [await run.describe(rpc_timeout=RPC) for run in self._each]
            busy = [
                pending.activity_type.name for one in described for pending in one.raw_description.pending_activities
            ]
            if not [name for name in busy if not name.startswith("health.")]:
                return
            await asyncio.sleep(0.05)

    # -- the end -------------------------------------------------------------------------------------------

    async def _end(self) -> None:
        """The night is over: the restore ends, what is broken is mended by hand, people close, leases expire."""
        self.world.start()
        self.world.sick = False
        self.world.bad_versions = set()
        self.world.settle()
        until = time.monotonic() + ENDS_WITHIN
        while left := [run for run in self._each if await self._open(run)]:
            if time.monotonic() > until:
                pytest.fail(f"{left[0].id} doesn't end: {await self._status(left[0])}")
            await self._answer(0)
            for run in left:
                if run.id == self.p1:
                    with suppress(WorkflowUpdateFailedError, RPCError):
                        closing = Closing(**ADA, resolution="over", root_cause="a test")
                        await run.execute_update("close", closing, rpc_timeout=RPC)
            await asyncio.sleep(0.2)
        for run in self._each:
            events = (await run.describe(rpc_timeout=RPC)).history_length
            assert events < MOST_EVENTS, f"{run.id} goes round in circles: {events} events"

    async def holds(self) -> None:
        """Check what must hold whatever has happened."""
        world = self.world
        for tag, blamed in world.gone_back:
            assert tag not in blamed, f"gone back to {tag}, which was to blame"
        assert world.touched_while_stopped == []
        assert not world.paused, "the autoscaler is paused still"
        assert world.held == {}, "a Secret is held still"
        assert world.closed <= set(world.fenced), "a database is closed to its writers still"
        told = [well for _, status, well in world.published if status == "Resolved"]
        assert all(told), "the public was told that it is over while it wasn't"
        for incident in {incident for incident, *_ in world.published}:
            said = [(status, well) for of, status, well in world.published if of == incident]
            left = said[-1] == ("Monitoring", False) and incident.startswith("RESTORE-")
            yours = any("entry is yours" in page.summary for page in world.done("paging.page"))
            assert said[-1][0] == "Resolved" or (left and yours), f"{incident} is left open on the page: {said}"
        for run in self._each:
            with suppress(WorkflowFailureError):
                result = await run.result()
                if run.id == self.p1:
                    assert result["healthy"] is True
        await self._told_what_was()
        opened = [one.incident_id for one in world.done("records.create_incident")]
        closed = [one.incident_id for one in world.done("records.close_incident")]
        assert len(opened) == len(set(opened))
        assert set(opened) == set(closed)
        keys = [request.effect.key for _, request in world.effects]
        assert len(keys) == len(set(keys)), "an effect was done twice"

    async def _told_what_was(self) -> None:
        """Hold what incidents and their report tell against what the service was like, second by second."""
        for one in {run.result_run_id for run in self.runs if run.id == self.p1}:
            handle = self.client.get_workflow_handle(self.p1, run_id=one)
            described = await handle.describe(rpc_timeout=RPC)
            if described.status is not WorkflowExecutionStatus.COMPLETED or described.close_time is None:
                continue
            result = P1Result.model_validate(await handle.result())
            for lapse in result.lapses:
                assert self._was(lapse.met_at, well=True), f"not well when mitigated: {lapse}, {self.world.life}"
                assert self._was(lapse.lost_at, well=False), f"well when it was lost: {lapse}, {self.world.life}"
            story = (await fetch(self.client, self.p1, one)).story(Decoder())
            reported = reached(story).get("Mitigated")
            if result.mitigated_after is None:
                assert reported is None
                continue
            at = described.start_time + result.mitigated_after
            assert reported is not None
            assert abs(reported - at) < timedelta(seconds=2), "the report says another time than the run"
            assert self._was(at, well=True), f"not well when mitigated: {at}, {self.world.life}"
            for began, ended in self.world.unwell():
                lasted = min(ended, described.close_time) - max(began, at)
                next_look = (began - described.start_time) / A_SHARE
                assert lasted < SEEN_WITHIN + next_look, f"mitigated at {at} for good, and down from {began} to {ended}"

    def _was(self, at: datetime, *, well: bool) -> bool:
        """Tell whether the service was so at some moment just before."""
        ends = [began for began, _ in self.world.life[1:]] + [datetime.max.replace(tzinfo=UTC)]
        return any(
            was is well and began <= at and end >= at - SEEN_WITHIN
            for (began, was), end in zip(self.world.life, ends, strict=True)
        )


@pytest.mark.timeout(600 + 180 * SEQUENCES)
@settings(
    max_examples=SEQUENCES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate) if SEQUENCES < MANY else tuple(Phase),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(step, min_size=4, max_size=7))
async def test_whatever_comes_after_what(temporal_address: str, steps: list[tuple[str, Any]]) -> None:
    await tried(temporal_address, steps)


WORST = [("release", "bad"), ("alert", 0), ("alert", 1), ("worker", "dies"), ("begin", "rollback"), ("answer", 0)]
STOPPED = [
    ("begin", "emergency_scale_up"),
    ("restore", "begins"),
    ("alert", 0),
    ("begin", "standard_deployment"),
    ("begin", "rollback"),
    ("begin", "manual_scale_up"),
    ("worker", "dies"),
    ("answer", 1),
]

RESTORED = [
    ("release", "bad"),
    ("begin", "p1_incident"),
    ("begin", "point_in_time_restore"),
    ("alert", 0),
    ("begin", "standard_deployment"),
    ("answer", 0),
    ("worker", "dies"),
    ("begin", "point_in_time_restore"),
    ("pass", 1),
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "steps",
    [WORST, STOPPED, RESTORED],
    ids=["a bad release, again and again", "kept stopped", "restored while it is down"],
)
async def test_some_that_are_always_tried(temporal_address: str, steps: list[tuple[str, Any]]) -> None:
    night = await tried(temporal_address, steps)
    assert night.runs


async def tried(address: str, steps: list[tuple[str, Any]]) -> Night:
    night = Night(await connect(TemporalSettings(address=address)))
    await night.play(steps)
    await night.holds()
    return night
