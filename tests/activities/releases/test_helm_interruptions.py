"""A Helm that is interrupted: by a crash, by whoever cancels, by an outage, by somebody else; and what comes after."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import httpx
import psutil
import pytest
from temporalio.exceptions import CancelledError

from activities.common.errors import Refused, Unavailable
from activities.kubernetes.api import connect
from activities.releases.helm import Helm, RollbackRelease, UpgradeRelease
from sandbox import binaries
from tests.activities.common.cut_off import Line
from tests.activities.kubernetes.on_cluster import HUNG, eventually
from tests.activities.releases import helm_worker
from tests.activities.releases.on_helm import TOO_BIG, Background, OnHelm

NEW, BAD = "v1.2.5", "v1.2.4"
RESUMED = "an earlier attempt was interrupted; this one went on"


@contextmanager
def _process(released: OnHelm, method: str, request: UpgradeRelease | RollbackRelease) -> Iterator[psutil.Process]:
    """A worker's process in the middle of an effect: its helm, which waits."""
    arguments = [str(binaries.find("helm")), str(released.server.kubeconfig), method, request.model_dump_json()]
    process = subprocess.Popen([sys.executable, "-m", helm_worker.__name__, *arguments])
    try:
        released.wait_pending()
        (helm,) = (child for child in psutil.Process(process.pid).children() if child.name() == "helm")
        yield helm
    finally:
        process.kill()
        process.wait()


def _helms(released: OnHelm) -> list[psutil.Process]:
    """What this process has Helm do to the release."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # Helm reads, and has ended
            line = child.cmdline()
            if "--wait" in line and f"--namespace={released.server.namespace}" in line:
                found.append(child)
    return found


@contextmanager
def _attempt_fails(released: OnHelm, request: UpgradeRelease, says: str) -> Iterator[None]:
    """In the middle of an upgrade; what is done there makes its attempt fail."""
    with released.held():
        attempt = Background(lambda: released.run(released.helm.upgrade, request))
        released.wait_pending()
        yield
        with pytest.raises(Unavailable, match=says):
            attempt.end()


# -- crashes ------------------------------------------------------------------------------------------------


def test_an_upgrade_goes_on_after_its_worker_was_killed(released: OnHelm):
    asked = released.upgrade(NEW)
    with released.held(), _process(released, "upgrade", asked) as helm:
        pass
    eventually(lambda: not helm.is_running())
    assert released.history == [(1, "deployed"), (2, "pending-upgrade")]
    change = released.run(released.helm.upgrade, asked, attempt=2)
    assert change.deployed, change
    assert (change.applied, change.revision, change.note) == (True, 2, RESUMED)
    assert released.history == [(1, "superseded"), (2, "deployed")]
    assert released.server.image.endswith(NEW)
    # Not a second rollout: what the killed Helm had applied was right already.
    assert max(released.server.revisions) == 2


def test_an_emergencys_replicas_outlive_a_worker_that_was_killed(released: OnHelm):
    released.run(released.helm.upgrade, released.upgrade("v1.2.3-b", values={"replicas": "3"}))
    released.server.patch({"spec": {"replicas": 6}})
    asked = released.upgrade(NEW, values={"replicas": "3"}, from_revision=2)
    with released.held(), _process(released, "upgrade", asked):
        pass
    change = released.run(released.helm.upgrade, asked, attempt=2)
    assert change.deployed, change
    assert (change.revision, released.server.spec["replicas"]) == (3, 6)
    assert change.note.startswith(f"{RESUMED}; tensafe-server keeps 6 replicas")


def test_an_upgrade_that_can_not_get_ready_fails_after_its_worker_was_killed(released: OnHelm):
    asked = released.upgrade(NEW, values=TOO_BIG)
    with _process(released, "upgrade", asked):
        pass
    released.unschedulable()
    short = asked.model_copy(update={"timeout": timedelta(seconds=3)})
    change = released.run(released.helm.upgrade, short, attempt=2)
    assert (change.deployed, change.revision) == (False, 2)
    assert change.reason.startswith("3 × Unschedulable")
    assert released.history == [(1, "deployed"), (2, "failed")]


def test_a_first_installation_goes_on_after_its_worker_was_killed(released: OnHelm):
    released.cli("uninstall", "tensafe", "--wait")
    asked = released.upgrade(NEW, from_revision=0)
    with released.held(), _process(released, "upgrade", asked):
        pass
    assert released.history == [(1, "pending-install")]
    change = released.run(released.helm.upgrade, asked, attempt=2)
    assert change.deployed, change
    assert (change.revision, change.note) == (1, RESUMED)
    assert released.history == [(1, "deployed")]


def test_a_rollback_goes_on_after_its_worker_was_killed(released: OnHelm):
    released.release(BAD)
    asked = released.rollback()
    with released.held(), _process(released, "rollback", asked):
        pass
    assert released.history[-1] == (3, "pending-rollback")
    change = released.run(released.helm.rollback, asked, attempt=2)
    assert change.deployed, change
    assert (change.revision, change.note) == (3, RESUMED)
    assert released.history == [(1, "superseded"), (2, "superseded"), (3, "deployed")]


def test_two_attempts_at_once_leave_one_release(released: OnHelm):
    # A worker that only seems dead: its Helm is still at it when the next attempt begins.
    asked = released.upgrade(NEW)
    with released.held():
        first = Background(lambda: released.run(released.helm.upgrade, asked))
        released.wait_pending()
        second = Background(lambda: released.run(released.helm.upgrade, asked, attempt=2))
        eventually(lambda: len(_helms(released)) == 2)
    assert second.end().deployed, second.end()
    assert second.end().revision == 2
    change = first.end()
    assert change.deployed, change
    assert released.history == [(1, "superseded"), (2, "deployed")]


# -- the end of an attempt ------------------------------------------------------------------------------------


@pytest.mark.parametrize("over", ["worker_shutdown", "timed_out"])
def test_the_end_of_an_attempt_is_a_crash_to_helm(released: OnHelm, over: str):
    asked = released.upgrade(NEW)
    with _attempt_fails(released, asked, "another one goes on"):
        released.cancel(**{over: True})
    assert released.history[-1] == (2, "pending-upgrade")
    change = released.run(released.helm.upgrade, asked, attempt=2)
    assert change.deployed, change
    assert released.history == [(1, "superseded"), (2, "deployed")]


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_a_helm_that_somebody_ends_is_run_again(released: OnHelm, end: str):
    asked = released.upgrade(NEW)
    with _attempt_fails(released, asked, "helm was"):
        (helm,) = _helms(released)
        getattr(helm, end)()
    change = released.run(released.helm.upgrade, asked, attempt=2)
    assert change.deployed, change
    assert (change.revision, change.note) == (2, RESUMED)
    assert released.history == [(1, "superseded"), (2, "deployed")]


def test_an_outage_of_the_cluster_in_the_middle_is_gone_through(released: OnHelm, kubeconfig: Path, tmp_path: Path):
    url = httpx.URL(connect(kubeconfig).configuration.host)
    asked = released.upgrade(NEW, timeout=timedelta(seconds=10))
    with closing(Line(url.port or 443)) as line:
        file = tmp_path / "kubeconfig.yaml"
        file.write_text(kubeconfig.read_text().replace(str(url), f"https://127.0.0.1:{line.port}"))
        with connect(file) as api:
            helm = Helm(str(binaries.find("helm")), api, kubeconfig=file, context=None, directory=tmp_path)
            with released.held():
                attempt = Background(lambda: released.run(helm.upgrade, asked))
                released.wait_pending()
                line.cut()
                with pytest.raises(Unavailable):
                    attempt.end()
            assert released.history[-1] == (2, "pending-upgrade")
            line.mend()
            change = released.run(helm.upgrade, asked.model_copy(update={"timeout": HUNG}), attempt=2)
    assert change.deployed, change
    assert (change.revision, change.note) == (2, RESUMED)
    assert released.history == [(1, "superseded"), (2, "deployed")]


# -- cancellation -----------------------------------------------------------------------------------------------


def test_a_cancelled_upgrade_is_not_left_pending(released: OnHelm):
    asked = released.upgrade(NEW, values=TOO_BIG, timeout=timedelta(minutes=5))
    attempt = Background(lambda: released.run(released.helm.upgrade, asked))
    released.wait_pending()
    (helm,) = _helms(released)
    begun = time.monotonic()
    released.cancel()
    with pytest.raises(CancelledError):
        attempt.end()
    assert time.monotonic() - begun < 60, "not the five minutes that Helm would wait"
    assert not helm.is_running()
    assert released.history == [(1, "deployed"), (2, "failed")]
    assert released.descriptions[1] == 'Upgrade "tensafe" failed: context canceled'
    change = released.run(released.helm.upgrade, released.upgrade("v1.2.6", from_revision=2))
    assert change.deployed, change


def test_a_cancelled_rollback_is_not_left_pending(released: OnHelm):
    released.release("v1.2.6", "--set-string=cpu=100")
    released.release(NEW)
    asked = released.rollback(from_revision=3, to_revision=2, timeout=timedelta(minutes=5))
    attempt = Background(lambda: released.run(released.helm.rollback, asked))
    released.wait_pending()
    released.cancel()
    with pytest.raises(CancelledError):
        attempt.end()
    assert released.history[-1] == (4, "failed")
    assert released.descriptions[-1] == 'Release "tensafe" failed: cancelled by whoever cancelled p1'
    # What we have written into Helm's record, Helm can go on with.
    change = released.run(released.helm.rollback, released.rollback(from_revision=4, to_revision=3))
    assert change.deployed, change
    assert released.history[-1] == (5, "deployed")


# -- somebody else ------------------------------------------------------------------------------------------------


@contextmanager
def _somebody_else(released: OnHelm) -> Iterator[None]:
    """Somebody else's upgrade, which doesn't get ready; killed at the end."""
    command = [str(binaries.find("helm")), f"--kubeconfig={released.server.kubeconfig}", "upgrade", "tensafe"]
    options = [f"--namespace={released.server.namespace}", "--set-string=cpu=100", "--wait", "--timeout=5m"]
    process = subprocess.Popen([*command, str(released.chart), *options])
    try:
        released.wait_pending()
        yield
    finally:
        process.kill()
        process.wait()


def test_what_somebody_else_is_doing_is_not_disturbed(released: OnHelm):
    with _somebody_else(released):
        for from_revision in (1, 2):
            with pytest.raises(Refused, match=r"somebody else is at it, revision 2 is pending-upgrade since"):
                released.run(released.helm.upgrade, released.upgrade(NEW, from_revision=from_revision))
        with pytest.raises(Refused, match=r"somebody else is at it"):
            released.run(released.helm.rollback, released.rollback(), attempt=2)
        assert released.history == [(1, "deployed"), (2, "pending-upgrade")]


def test_what_somebody_else_has_left_lying_is_given_up(released: OnHelm):
    with _somebody_else(released):
        pass
    time.sleep(1.1)  # older than the timeout of the upgrade to come
    planned = released.upgrade(NEW, from_revision=2, timeout=timedelta(seconds=1))
    planned.effect = planned.effect.model_copy(update={"dry_run": True})
    assert "was given up" in released.run(released.helm.upgrade, planned).note
    assert released.history[-1] == (2, "pending-upgrade")
    asked = released.upgrade(NEW, from_revision=2, timeout=timedelta(seconds=1))
    change = released.run(released.helm.upgrade, asked)
    assert change.revision == 3
    assert change.note.startswith("revision 2 had been pending-upgrade since ")
    assert released.history[1] == (2, "failed")
    assert released.descriptions[1] == 'Release "tensafe" failed: given up by p1'


def test_what_was_left_lying_after_the_decision_is_not_taken_over(released: OnHelm):
    with _somebody_else(released):
        pass
    time.sleep(1.1)  # older than the timeout of the upgrade to come
    with pytest.raises(Refused, match="no longer on revision 1"):
        released.run(released.helm.upgrade, released.upgrade(NEW, timeout=timedelta(seconds=1)))
    assert released.history[-1] == (2, "pending-upgrade")
