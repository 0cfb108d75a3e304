"""The `helm` program: its command lines, its answers, and how its failures are typed."""

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from activities.common.errors import ActivityFailure, Conflict, Misconfigured, Refused, Unavailable
from activities.common.programs import Finished, run
from activities.releases.helm_contents import objects

_READ_WITHIN = timedelta(seconds=30)
_MESSAGE_CHARACTERS = 500
_ABSENT = "release: not found"

# Helm has no codes for its failures, only sentences: its own, client-go's, Go's. The first that fits decides.
_KINDS: tuple[tuple[type[ActivityFailure], str], ...] = (
    (Misconfigured, r"context \S+ does not exist|invalid configuration|no configuration has been provided"),
    (Misconfigured, r"path \S+ not found|Chart\.yaml file is missing|repo \S+ not found|non-absolute URLs"),
    (Misconfigured, r"unknown (?:shorthand )?flag|failed parsing --set|no cached repo found|chart \S+ .*not found"),
    (
        Refused,
        r"template: |parse error|execution error|orbidden|Unauthorized|asked for the client to provide credentials",
    ),
    (Conflict, r"another operation \(install/upgrade/rollback\) is in progress|release: already exists"),
    (Conflict, r"cannot re-use a name that is still in use|the object has been modified"),
    (Unavailable, r"context deadline exceeded"),
    (
        Unavailable,
        (
            r"cluster unreachable|connection refused|connection reset|no such host|i/o timeout|TLS handshake timeout"
            r"|unexpected EOF|http2: |request canceled|etcdserver|server is currently unable|Too Many Requests"
            r"|Client\.Timeout|network is unreachable|no route to host|leader changed|broken pipe"
        ),
    ),
)
_SPECIAL, _ESCAPED = re.compile(r"[,{}\\]"), r"\\\g<0>"
_PASSING = re.compile(rf"context canceled|{_KINDS[-1][1]}")


class HelmRevision(BaseModel):
    """One line of `helm history`."""

    number: int
    status: str = Field(description="deployed, superseded, failed, pending-upgrade, …")
    chart: str = Field(description="Name and version, for example `tensafe-1.0.0`.")
    description: str = ""
    updated_at: datetime
    contents: str = Field(default="", description="Digest of what it runs; empty where that isn't known.")
    versions: list[str] = Field(default_factory=list, description="What its images are called.")

    @property
    def pending(self) -> bool:
        """Whether Helm is at work on it, or was when it was killed."""
        return self.status.startswith("pending-")

    def uninstalled(self, namespace: str, release: str) -> str:
        """Say, with the ways out, that somebody has uninstalled the release and kept its history; empty where not."""
        if self.status not in {"uninstalled", "uninstalling"}:
            return ""
        where = f"{release} --namespace={namespace}"
        if self.status == "uninstalling":
            return (
                f"release {release}: somebody has begun to uninstall it, and it is not through (revision {self.number} "
                f"is uninstalling): wait for its end, or `helm uninstall {where}` ends it; then a release installs it"
            )
        return (
            f"release {release} was uninstalled with its history kept, after {self.updated_at:%F %H:%M %Z} "
            f"(revision {self.number} is uninstalled), and Helm upgrades nothing that isn't there. Where it is to come "
            f"back as it was: `helm rollback {release} {self.number} --namespace={namespace}`. Where it is to be new: "
            f"`helm uninstall {where}` forgets the history, then begin again"
        )


class HelmCli:
    """Runs Helm against one cluster, on the releases that it keeps as Secrets: its default."""

    def __init__(self, program: str, kubeconfig: Path | None, context: str | None) -> None:
        self._program = program
        self._flags = (
            *([f"--kubeconfig={kubeconfig}"] if kubeconfig else ()),
            *([f"--kube-context={context}"] if context else ()),
        )
        self._environment = {**os.environ, "HELM_DRIVER": "secret"}
        if not self._flags and "KUBERNETES_SERVICE_HOST" in os.environ:
            # In a cluster we speak to it, as our own client does, even where somebody left a kubeconfig about.
            self._environment["KUBECONFIG"] = os.devnull

    def history(self, namespace: str, release: str) -> list[HelmRevision]:
        """Read a release's revisions, newest last; none where there is no such release."""
        done = self.run("history", release, f"--namespace={namespace}", "--output=json", within=_READ_WITHIN)
        if done.code and _ABSENT in done.err:
            return []
        return [
            HelmRevision(
                number=line["revision"],
                status=line["status"],
                chart=line["chart"],
                description=line["description"],
                updated_at=line["updated"],
            )
            for line in self._answer(done)
        ]

    def value(self, namespace: str, release: str, revision: int, path: str) -> str:
        """Read one of a revision's values, the chart's own among them; "" where there is none."""
        where = (release, f"--namespace={namespace}", f"--revision={revision}")
        done = self.run("get", "values", *where, "--all", "--output=json", within=_READ_WITHIN)
        found = {} if done.code and _ABSENT in done.err else self._answer(done)
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return "" if found is None or isinstance(found, (dict, list)) else str(found)

    def replicas(self, namespace: str, release: str, revision: int) -> dict[str, int]:
        """Read how many replicas each Deployment of a revision was released with, where it says so.

        Raises:
            ActivityFailure: Helm can't tell.

        """
        found = self._objects("Deployment", namespace, release, revision)
        wanted = {one["metadata"]["name"]: (one.get("spec") or {}).get("replicas") for one in found}
        return {name: int(replicas) for name, replicas in wanted.items() if replicas is not None}

    def cron_jobs(self, namespace: str, release: str, revision: int) -> list[str]:
        """Name the CronJobs of a revision.

        Raises:
            ActivityFailure: Helm can't tell.

        """
        return [one["metadata"]["name"] for one in self._objects("CronJob", namespace, release, revision)]

    def _objects(self, kind: str, namespace: str, release: str, revision: int) -> list[dict[str, Any]]:
        where = (release, f"--namespace={namespace}", f"--revision={revision}")
        done = self.run("get", "manifest", *where, within=_READ_WITHIN)
        if done.code and _ABSENT in done.err:
            return []
        if done.code:
            raise failure(done)
        return [one for one in objects(done.out) if one.get("kind") == kind]

    def run(
        self, *arguments: str, within: timedelta | None = None, hopeless: Callable[[], bool] = lambda: False
    ) -> Finished:
        """Run Helm to its end, however it ends; see `programs.run`.

        Raises:
            Misconfigured: there is no such program.

        """
        program = shutil.which(self._program)
        if program is None:
            raise Misconfigured(
                f"[helm] program: there is no {self._program} that can be run here. "
                "Install Helm 3 (helm.sh/docs/intro/install), or give its path in the settings."
            )
        command = [program, *arguments, *self._flags]
        try:
            return run(command, environment=self._environment, within=within, hopeless=hopeless)
        except OSError as error:
            raise Misconfigured(f"[helm] program: {self._program} cannot be run: {error.strerror}") from None

    def _answer(self, done: Finished) -> Any:
        if done.code:
            raise failure(done)
        try:
            return json.loads(done.out)
        except json.JSONDecodeError:
            raise Misconfigured(f"[helm] program: {self._program} doesn't answer as Helm 3 does") from None


def set_strings(values: Mapping[str, str]) -> list[str]:
    """Write values as arguments that Helm takes literally, as strings; a dot in a name leads into a table."""
    return [f"--set-string={name}={_SPECIAL.sub(_ESCAPED, value)}" for name, value in values.items()]


def said(done: Finished) -> str:
    """Give what Helm complained about: the lines from its `Error:` on."""
    _, found, text = done.err.rpartition("Error: ")
    if not found:
        text = done.err if done.err.strip() else f"ended with exit code {done.code}"
    return " ".join(text.split())[:_MESSAGE_CHARACTERS]


def failure(done: Finished) -> ActivityFailure:
    """Type a failure of Helm's."""
    text = said(done)
    if done.code < 0:
        return Unavailable(f"helm was ended by signal {-done.code}")
    kind = next((kind for kind, pattern in _KINDS if re.search(pattern, text)), Refused)
    return kind(f"helm: {text}")


def passing(description: str) -> bool:
    """Whether a failed revision's description tells of an interruption or an outage, and not of the release itself."""
    return _PASSING.search(description) is not None
