"""The Job that tests a release: how it is made, waited for, and read.

It runs once, without retries of its own: a test that fails now and then is a failed test, and people decide.
"""

import hashlib
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import CancelledError

from activities.catalogue.smoke import SmokeJob
from activities.common.effects import Effect
from activities.common.errors import ActivityFailure, Conflict, NotFound, RateLimited, Refused, Unavailable
from activities.common.heartbeat import Progress, resume, turns
from activities.kubernetes.api import FIELD_MANAGER, TIMEOUT, Object, ask, failures, optional, pages
from activities.kubernetes.rollouts import conditions
from libraries import kubernetes, logger

EFFECT = "runbooks.dev/effect"
"""The Job's annotation with the effect's key."""

_log = logger(__name__)
_KEPT_SECONDS = 3600
_POLL = timedelta(seconds=1)
_GRACE = timedelta(seconds=15)
"""Past the Job's own deadline, for the controller to say so."""

_NAME_CHARACTERS = 63
_DIGEST_CHARACTERS = 12
_LOG_LINES = 50
_LOG_BYTES = 64 * 1024
_LOG_CHARACTERS = 4000


@dataclass(frozen=True)
class End:
    """How a Job ended."""

    passed: bool
    reason: str = ""


class Jobs:
    """Creates, watches and removes Jobs."""

    def __init__(self, api: "kubernetes.ApiClient") -> None:
        self._batch = kubernetes.BatchV1Api(api)
        self._core = kubernetes.CoreV1Api(api)

    def create(self, namespace: str, manifest: Object, effect: Effect) -> bool:
        """Create the Job; False where an earlier attempt has.

        Raises:
            Refused: somebody else has a Job of that name, or this one is not accepted.
            Unavailable, RateLimited, NotFound: as `ask` does.

        """
        name = manifest["metadata"]["name"]
        options = {"dry_run": "All"} if effect.dry_run else {}
        try:
            ask(self._batch.create_namespaced_job, namespace, manifest, field_manager=FIELD_MANAGER, **options)
        except Conflict:
            found = optional(self._batch.read_namespaced_job, name, namespace)
            if found is None:
                raise  # gone since: the next attempt creates it
            if (found["metadata"].get("annotations") or {}).get(EFFECT) != effect.key:
                raise Refused(
                    f"job/{name} is there already, and not ours: delete it, or find out whose it is"
                ) from None
            return False
        _log.info("smoke job created", job=name, dry_run=effect.dry_run, effect=effect.key)
        return not effect.dry_run

    @contextmanager
    def deleted_when_cancelled(self, namespace: str, name: str) -> Iterator[None]:
        """Delete the Job if the activity is cancelled meanwhile.

        Where only this attempt is over (its worker ends, its time is up), the Job runs on for the attempt that follows.
        """
        try:
            yield
        except CancelledError:
            details = activity.cancellation_details()
            if details is None or details.cancel_requested:
                with activity.shield_thread_cancel_exception():
                    self._delete(namespace, name)
            raise

    def wait(self, namespace: str, name: str, timeout: timedelta) -> End:
        """Wait for the end of a Job, heartbeating; one that somebody deletes has failed.

        Raises:
            Unavailable, RateLimited: the API server did not answer in all the time.

        """
        missing: Unavailable | RateLimited | None = None
        for _ in turns(resume(Progress), within=timeout + _GRACE, every=_POLL):
            try:
                end = ended(ask(self._batch.read_namespaced_job, name, namespace))
            except (Unavailable, RateLimited) as error:
                missing = error
                continue
            except NotFound:
                return End(passed=False, reason="somebody deleted the Job before its end was seen")
            missing = None
            if end is not None:
                return end
        if missing is not None:
            raise missing
        self._delete(namespace, name)
        return End(passed=False, reason="neither complete nor failed when its time was up")

    def log(self, namespace: str, name: str) -> str:
        """Give the end of the log of a Job's newest pod; empty where there is none to be had."""
        try:
            selector = f"batch.kubernetes.io/job-name={name}"
            pods = list(pages(self._core.list_namespaced_pod, namespace, label_selector=selector))
            if not pods:
                return ""
            newest = max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))["metadata"]["name"]
            with failures():
                answer: Any = self._core.read_namespaced_pod_log(
                    newest,
                    namespace,
                    tail_lines=_LOG_LINES,
                    limit_bytes=_LOG_BYTES,
                    _request_timeout=TIMEOUT,
                    _preload_content=False,
                )
                text = str(answer.data, errors="replace")
        except ActivityFailure:
            return ""  # an explanation is welcome, not needed
        return text.strip()[-_LOG_CHARACTERS:]

    def _delete(self, namespace: str, name: str) -> None:
        """Delete the Job and its pod; its own deadline ends it where that can't be done."""
        try:
            ask(self._batch.delete_namespaced_job, name, namespace, propagation_policy="Background")
        except ActivityFailure as error:
            _log.warning("smoke job not deleted", job=name, why=str(error))


def manifest(service: str, version: str, job: SmokeJob, effect: Effect) -> Object:
    """Describe the Job of an effect: the same name and content whichever attempt asks."""
    env = {**job.env, "VERSION": version}
    labels = {"app.kubernetes.io/managed-by": FIELD_MANAGER, "app.kubernetes.io/component": "smoke-test"}
    container = {
        "name": "smoke",
        "image": job.image,
        "env": [{"name": key, "value": value} for key, value in env.items()],
    }
    if job.command:
        container["command"] = list(job.command)
    pod = {"restartPolicy": "Never", "containers": [container]}
    if job.service_account:
        pod["serviceAccountName"] = job.service_account
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name_of(service, effect), "labels": labels, "annotations": {EFFECT: effect.key}},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": max(math.ceil(job.timeout.total_seconds()), 1),
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def name_of(service: str, effect: Effect) -> str:
    """Name the Job of an effect, as a DNS label."""
    digest = hashlib.sha256(effect.key.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    middle = re.sub(r"[^a-z0-9]+", "-", service.lower())[: _NAME_CHARACTERS - len(f"smoke--{digest}")].strip("-")
    return "-".join(filter(None, ["smoke", middle, digest]))


def ended(job: Object) -> End | None:
    """Tell how a Job ended; None while it runs."""
    if any(c["status"] == "True" for c in conditions(job, "Complete")):
        return End(passed=True)
    for failed in conditions(job, "Failed"):
        if failed["status"] == "True":
            late = failed.get("reason") == "DeadlineExceeded"
            return End(passed=False, reason="ran out of time" if late else failed.get("reason", "no reason given"))
    return None
