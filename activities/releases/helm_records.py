"""The Secrets in which Helm keeps its releases, as far as the `helm` program doesn't reach.

Helm keeps a description only for what went well. What it does keep from the first moment on are an upgrade's labels;
there an effect leaves its mark. A helm that is killed leaves its revision pending, and Helm has no command for that.
"""

import base64
import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from activities.common.errors import Conflict, NotFound
from activities.kubernetes.api import FIELD_MANAGER, Object, ask
from activities.releases.helm_contents import Contents, contents
from activities.releases.keep_replicas import kept
from libraries import kubernetes, logger, yaml

MARK = "runbooks.dev/effect"
SAID = "runbooks-said"
"""Beside `release` in a revision's Secret: what was there, while it asks for more replicas than it did."""

_PENDING = frozenset({"pending-install", "pending-upgrade", "pending-rollback"})
_UNFINISHED = _PENDING | {"failed"}

_log = logger(__name__)


class HelmRecords:
    """The releases of one cluster."""

    def __init__(self, api: "kubernetes.ApiClient") -> None:
        self._core = kubernetes.CoreV1Api(api)

    def marked(self, namespace: str, release: str, mark: str) -> int | None:
        """Find the revision that an effect made.

        Helm hands labels on to the revisions that follow, so the first that has the mark is the one.
        """
        wanted = f"owner=helm,name={release},{MARK}={mark}"
        found = ask(self._core.list_namespaced_secret, namespace, label_selector=wanted)
        return min((int(item["metadata"]["labels"]["version"]) for item in found["items"]), default=None)

    def kept_elsewhere(self, namespace: str, release: str) -> str:
        """Say, with the ways out, that Helm keeps a release's history in ConfigMaps; empty where it doesn't.

        Raises:
            ActivityFailure: they can't be read, so that nobody knows.

        """
        wanted = f"owner=helm,name={release}"
        if not ask(self._core.list_namespaced_config_map, namespace, label_selector=wanted)["items"]:
            return ""
        return (
            f"release {release} has its history in ConfigMaps (HELM_DRIVER=configmap), and is released by the runbooks "
            "only where that is in Secrets, Helm's default: else it would be installed a second time, over what runs. "
            "Move the history into Secrets, or go on releasing it as before"
        )

    def contents(self, namespace: str, release: str) -> dict[int, Contents]:
        """Read what each revision runs; one that can't be understood is left out."""
        found = ask(self._core.list_namespaced_secret, namespace, label_selector=f"owner=helm,name={release}")
        read = {}
        for secret in found["items"]:
            data = secret.get("data") or {}
            try:
                manifest = _decoded(data.get(SAID) or data["release"])["manifest"]
                read[int(secret["metadata"]["labels"]["version"])] = contents(manifest)
            except (ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, yaml.YAMLError) as error:
                _log.warning("a helm revision can't be read", release=release, reason=type(error).__name__)
        return read

    def forget(self, namespace: str, release: str, revision: int) -> None:
        """Remove a revision that was not finished, so that it can be made anew under its number.

        Raises:
            Conflict: it has been finished meanwhile.

        """
        secret = self._read(namespace, release, revision)
        if _status(secret) not in _UNFINISHED:
            raise Conflict(f"release {release}: revision {revision} has become {_status(secret)} meanwhile")
        metadata = secret["metadata"]
        precondition = kubernetes.V1Preconditions(uid=metadata["uid"], resource_version=metadata["resourceVersion"])
        body = kubernetes.V1DeleteOptions(preconditions=precondition)
        ask(self._core.delete_namespaced_secret, metadata["name"], namespace, body=body)
        _log.info("unfinished helm revision removed", release=release, revision=revision)

    def fail(self, namespace: str, release: str, revision: int, description: str) -> bool:
        """Set a pending revision to failed, as Helm does where it isn't killed; False where it isn't pending.

        Raises:
            Conflict: somebody changed it at the same time.

        """
        try:
            secret = self._read(namespace, release, revision)
        except NotFound:
            return False
        if _status(secret) not in _PENDING:
            return False
        content = _decoded(secret["data"]["release"])
        content["info"] |= {"status": "failed", "description": description}
        secret["metadata"]["labels"]["status"] = "failed"
        secret["data"]["release"] = _encoded(content)
        self._replace(namespace, secret)
        _log.info("pending helm revision set to failed", release=release, revision=revision)
        return True

    @contextmanager
    def with_replicas(self, namespace: str, release: str, revision: int, replicas: dict[str, int]) -> Iterator[None]:
        """Let a revision ask for at least so many replicas while Helm goes back to it, and then for its own again.

        Helm's rollback applies the manifests that it has kept, and has no hook for changing them on their way. What the
        revision had said stays beside it until it says so again, so that a death in between loses nothing.
        """
        if not replicas:
            yield
            return
        secret = self._read(namespace, release, revision)
        content = _decoded(secret["data"]["release"])
        content["manifest"] = kept(content["manifest"], replicas)
        secret["data"] = {SAID: secret["data"]["release"], "release": _encoded(content)}
        self._replace(namespace, secret)
        _log.info("a helm revision keeps replicas", release=release, revision=revision, replicas=replicas)
        try:
            yield
        finally:
            self.as_it_said(namespace, release, revision)

    def as_it_said(self, namespace: str, release: str, revision: int) -> None:
        """Let a revision say what it had said, where an attempt has left it otherwise."""
        try:
            secret = self._read(namespace, release, revision)
        except NotFound:
            return
        if (said := secret["data"].pop(SAID, None)) is not None:
            secret["data"]["release"] = said
            self._replace(namespace, secret)

    def _replace(self, namespace: str, secret: Object) -> None:
        # With the resourceVersion it was read with: refused where anybody has changed it since.
        name = secret["metadata"]["name"]
        ask(self._core.replace_namespaced_secret, name, namespace, secret, field_manager=FIELD_MANAGER)

    def _read(self, namespace: str, release: str, revision: int) -> Object:
        return ask(self._core.read_namespaced_secret, f"sh.helm.release.v1.{release}.v{revision}", namespace)


def _status(secret: Object) -> str:
    return str(secret["metadata"]["labels"].get("status", ""))


def _decoded(data: str) -> dict[str, Any]:
    # Once by the API, once by Helm.
    content: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(data))))
    return content


def _encoded(content: dict[str, Any]) -> str:
    packed = gzip.compress(json.dumps(content, ensure_ascii=False).encode())
    return base64.b64encode(base64.b64encode(packed)).decode()
