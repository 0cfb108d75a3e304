"""The Job that tests a release, on a real API server with a real Job controller."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes import client
from temporalio import activity
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from activities.catalogue.smoke import SmokeJob
from activities.common.effects import Effect, is_effect
from activities.common.errors import NotFound, Refused, Unavailable
from activities.releases.smoke import RunSmokeJob, Smoke, SmokeJobResult
from activities.releases.smoke_job import name_of
from tests.activities.kubernetes.on_cluster import HUNG, an_effect, eventually

GOOD, BAD = "registry.example/smoke:v1", "registry.example/smoke:v1-bad"


@pytest.fixture(scope="module")
def smoke(cluster_api: client.ApiClient) -> Iterator[Smoke]:
    with httpx.Client(trust_env=False) as http:
        yield Smoke(http, cluster_api)


def request_of(namespace: str, image: str = GOOD, *, timeout: float = 240, effect: Effect | None = None) -> RunSmokeJob:
    job = SmokeJob(
        image=image,
        command=("pytest", "-q"),
        env={"TARGET": "http://tensafe", "VERSION": "not this"},
        timeout=timedelta(seconds=timeout),
    )
    return RunSmokeJob(
        namespace=namespace, service="tensafe-server", version="v1.2.4", job=job, effect=effect or an_effect()
    )


def run(smoke: Smoke, request: RunSmokeJob) -> SmokeJobResult:
    return ActivityEnvironment().run(smoke.job, request)


def jobs(kube: httpx.Client, namespace: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = kube.get(f"/apis/batch/v1/namespaces/{namespace}/jobs").json()["items"]
    return found


def pods_of_jobs(kube: httpx.Client, namespace: str) -> list[dict[str, Any]]:
    selector = {"labelSelector": "app.kubernetes.io/component=smoke-test"}
    found: list[dict[str, Any]] = kube.get(f"/api/v1/namespaces/{namespace}/pods", params=selector).json()["items"]
    return found


@pytest.fixture
def stuck(kube: httpx.Client, tensafe: str) -> str:
    """A namespace in which new pods ask for more than any node has, so that no Job's ever runs."""
    limit = {"type": "Container", "defaultRequest": {"cpu": "5k"}, "default": {"cpu": "5k"}}
    limits = {"metadata": {"name": "huge"}, "spec": {"limits": [limit]}}
    kube.post(f"/api/v1/namespaces/{tensafe}/limitranges", json=limits).raise_for_status()
    return tensafe


def test_a_job_that_completes_has_passed(smoke: Smoke, kube: httpx.Client, tensafe: str) -> None:
    assert is_effect(Smoke.job)
    request = request_of(tensafe)
    found = run(smoke, request)
    name = name_of("tensafe-server", request.effect)
    assert (found.passed, found.applied, found.log) == (True, True, "")
    assert str(found) == f"job/{name}: passed"
    [job] = jobs(kube, tensafe)
    assert job["metadata"]["name"] == name
    assert job["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "durable-runbooks"
    spec = job["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (0, 240, 3600)
    [container] = spec["template"]["spec"]["containers"]
    assert container["command"] == ["pytest", "-q"]
    assert {one["name"]: one["value"] for one in container["env"]} == {"TARGET": "http://tensafe", "VERSION": "v1.2.4"}


def test_a_job_that_fails_gives_the_end_of_its_log(smoke: Smoke, kube: httpx.Client, tensafe: str) -> None:
    found = run(smoke, request_of(tensafe, BAD))
    assert (found.passed, found.applied) == (False, True)
    assert found.after == "failed: BackoffLimitExceeded"
    assert found.log == "started"
    [pod] = pods_of_jobs(kube, tensafe)
    assert pod["status"]["phase"] == "Failed"


def test_a_second_attempt_finds_the_job_of_the_first(smoke: Smoke, kube: httpx.Client, tensafe: str) -> None:
    request = request_of(tensafe, BAD)
    first = run(smoke, request)
    again = run(smoke, request)
    assert again == first.model_copy(update={"applied": False, "note": "created by an earlier attempt"})
    assert len(jobs(kube, tensafe)) == len(pods_of_jobs(kube, tensafe)) == 1


def test_attempts_that_overlap_create_one_job(smoke: Smoke, kube: httpx.Client, tensafe: str) -> None:
    request = request_of(tensafe)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: run(smoke, request), range(4)))
    assert sorted(one.applied for one in found) == [False, False, False, True]
    assert all(one.passed for one in found)
    assert len(jobs(kube, tensafe)) == len(pods_of_jobs(kube, tensafe)) == 1


def test_every_effect_has_a_job_of_its_own(smoke: Smoke, kube: httpx.Client, tensafe: str) -> None:
    run(smoke, request_of(tensafe))
    run(smoke, request_of(tensafe))
    assert len(jobs(kube, tensafe)) == 2


def test_a_job_of_somebody_else_by_that_name_is_left_alone(smoke: Smoke, kube: httpx.Client, tensafe: str) -> None:
    request = request_of(tensafe)
    name = name_of("tensafe-server", request.effect)
    pod = {"restartPolicy": "Never", "containers": [{"name": "x", "image": GOOD}]}
    theirs = {"metadata": {"name": name}, "spec": {"template": {"spec": pod}}}
    kube.post(f"/apis/batch/v1/namespaces/{tensafe}/jobs", json=theirs).raise_for_status()
    with pytest.raises(Refused, match=f"job/{name} is there already, and not ours"):
        run(smoke, request)
    assert len(jobs(kube, tensafe)) == 1


def test_out_of_time_is_a_failed_test(smoke: Smoke, stuck: str) -> None:
    found = run(smoke, request_of(stuck, timeout=1.2))
    assert (found.passed, found.log) == (False, "")
    assert found.after == "failed: ran out of time"


def test_a_job_that_somebody_deletes_has_failed(smoke: Smoke, kube: httpx.Client, stuck: str) -> None:
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(run, smoke, request_of(stuck))
        [job] = eventually(lambda: jobs(kube, stuck))
        path = f"/apis/batch/v1/namespaces/{stuck}/jobs/{job['metadata']['name']}"
        kube.delete(path, params={"propagationPolicy": "Background"}).raise_for_status()
        assert running.result(HUNG.total_seconds()).after == "failed: somebody deleted the Job before its end was seen"


def _cancelled(
    smoke: Smoke, kube: httpx.Client, request: RunSmokeJob, details: activity.ActivityCancellationDetails
) -> None:
    environment = ActivityEnvironment()
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(environment.run, smoke.job, request)
        eventually(lambda: jobs(kube, request.namespace))
        environment.cancel(details)
        with pytest.raises(CancelledError):
            running.result(HUNG.total_seconds())


def test_a_cancellation_deletes_the_job_and_its_pod(smoke: Smoke, kube: httpx.Client, stuck: str) -> None:
    _cancelled(smoke, kube, request_of(stuck), activity.ActivityCancellationDetails(cancel_requested=True))
    eventually(lambda: not jobs(kube, stuck))
    eventually(lambda: not pods_of_jobs(kube, stuck))


def test_an_attempt_that_is_overtaken_leaves_the_job_to_the_next(smoke: Smoke, kube: httpx.Client, stuck: str) -> None:
    request = request_of(stuck)
    _cancelled(smoke, kube, request, activity.ActivityCancellationDetails(timed_out=True))
    [job] = jobs(kube, stuck)
    path, soon = f"/apis/batch/v1/namespaces/{stuck}/jobs/{job['metadata']['name']}", {"activeDeadlineSeconds": 1}
    merge = {"Content-Type": "application/merge-patch+json"}
    kube.patch(path, json={"spec": soon}, headers=merge).raise_for_status()
    assert run(smoke, request).note == "created by an earlier attempt"


def test_a_worker_that_shuts_down_leaves_the_job_to_the_next(smoke: Smoke, kube: httpx.Client, stuck: str) -> None:
    environment = ActivityEnvironment()
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(environment.run, smoke.job, request_of(stuck))
        eventually(lambda: jobs(kube, stuck))
        environment.worker_shutdown()
        with pytest.raises(Unavailable, match="shutting down"):
            running.result(HUNG.total_seconds())
    assert len(jobs(kube, stuck)) == 1


def test_the_clock_goes_on_over_attempts(smoke: Smoke, stuck: str) -> None:
    """Another attempt doesn't wait anew; what its controller has not ended by then is deleted."""
    environment = ActivityEnvironment()
    started = datetime.now(UTC) - timedelta(hours=1)
    environment.info = replace(environment.info, heartbeat_details=[{"started_at": started.isoformat()}])
    began = time.monotonic()
    found = environment.run(smoke.job, request_of(stuck))
    assert found.after == "failed: neither complete nor failed when its time was up"
    assert time.monotonic() - began < 60


def test_it_heartbeats(smoke: Smoke, stuck: str) -> None:
    beats: list[Any] = []
    environment = ActivityEnvironment()

    def beat(details: Any) -> None:
        beats.append(details)
        if len(beats) == 2:
            environment.cancel()

    environment.on_heartbeat = beat
    with pytest.raises(CancelledError):
        environment.run(smoke.job, request_of(stuck))
    assert all("started_at" in beat for beat in beats)


def test_a_plan_creates_nothing(smoke: Smoke, kube: httpx.Client, tensafe: str) -> None:
    found = run(smoke, request_of(tensafe, effect=an_effect(dry_run=True)))
    assert (found.applied, found.passed, found.after) == (False, True, "would run")
    assert jobs(kube, tensafe) == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_what_the_api_server_does_not_accept_is_refused(smoke: Smoke, tensafe: str, *, dry_run: bool) -> None:
    with pytest.raises(Refused, match="422"):
        run(smoke, request_of(tensafe, "", effect=an_effect(dry_run=dry_run)))
    with pytest.raises(NotFound):
        run(smoke, request_of(f"{tensafe}-none", effect=an_effect(dry_run=dry_run)))


def test_a_cluster_that_does_not_answer(tensafe: str) -> None:
    settings = client.Configuration(host="http://127.0.0.1:1")
    settings.retries = False
    with httpx.Client() as http, pytest.raises(Unavailable):
        run(Smoke(http, client.ApiClient(settings)), request_of(tensafe))


@given(service=st.text(max_size=100), key=st.text(min_size=1, max_size=100))
def test_any_service_gives_a_name_that_kubernetes_takes(service: str, key: str) -> None:
    effect = an_effect().model_copy(update={"key": key})
    name = name_of(service, effect)
    assert len(name) <= 63
    assert name.isascii()
    assert name.strip("abcdefghijklmnopqrstuvwxyz0123456789-") == ""
    assert name[0] != "-" != name[-1]
    assert name == name_of(service, effect)
