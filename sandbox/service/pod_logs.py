"""What the pods' containers would have written: a start, requests, and a stack trace for those that crash."""

import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path

import httpx

from sandbox.service.state import Pod, Snapshot

_REQUESTS_EVERY_SECONDS = 5.0


class PodLogs:
    """Writes a log file a pod, and tells kwok to serve it (`kubectl logs`, `read_namespaced_pod_log`)."""

    def __init__(self, api: httpx.Client, namespace: str, directory: Path) -> None:
        self._api = api
        self._namespace = namespace
        self._directory = directory
        self._restarts: dict[str, int] = {}
        self._serving: list[Pod] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin to write request lines, in a thread that ends with the process."""
        threading.Thread(target=self._run, name="pod-logs", daemon=True).start()

    def stop(self) -> None:
        """End it."""
        self._stop.set()

    def update(self, snapshot: Snapshot) -> None:
        """Write what has happened to the pods since the last call."""
        with self._lock:
            self._serving = [pod for pod in snapshot.pods if pod.ready and not pod.terminating]
            for pod in snapshot.pods:
                if pod.name not in self._restarts and (pod.ready or pod.restarts):
                    self._restarts[pod.name] = 0
                    self._begin(pod)
                if pod.restarts > self._restarts.get(pod.name, pod.restarts):
                    self._crash(pod)
                    self._restarts[pod.name] = pod.restarts

    def _file(self, pod: Pod, suffix: str = "log") -> Path:
        return self._directory / f"{self._namespace}_{pod.name}.{suffix}"

    def _begin(self, pod: Pod) -> None:
        self._write(pod, f"INFO  starting tensafe-server {pod.tag}", "INFO  connected to database tensafe")
        self._write(pod, "INFO  listening on :8000")
        document = {
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "Logs",
            "metadata": {"name": pod.name, "namespace": self._namespace},
            "spec": {
                "logs": [{"logsFile": str(self._file(pod)), "previousLogsFile": str(self._file(pod, "previous.log"))}]
            },
        }
        path = f"/apis/kwok.x-k8s.io/v1alpha1/namespaces/{self._namespace}/logs"
        try:
            self._api.post(path, json=document)
        except httpx.HTTPError:
            del self._restarts[pod.name]  # the next change tries again

    def _crash(self, pod: Pod) -> None:
        if self._restarts[pod.name] > 0:
            shutil.copyfile(self._file(pod), self._file(pod, "previous.log"))
            self._write(pod, f"INFO  starting tensafe-server {pod.tag}", truncate=True)
        self._write(
            pod,
            "ERROR unhandled exception in worker",
            "ERROR Traceback (most recent call last):",
            'ERROR   File "/app/tensafe/migrations.py", line 87, in check_schema',
            "ERROR RuntimeError: database schema 41 is older than the required 42",
            "ERROR shutting down, exit code 1",
            stream="stderr",
        )
        if self._restarts[pod.name] == 0:
            # Until it crashes again, the run before is the one in the log: whoever asks for it must find one.
            shutil.copyfile(self._file(pod), self._file(pod, "previous.log"))

    def _run(self) -> None:
        while not self._stop.wait(_REQUESTS_EVERY_SECONDS):
            with self._lock:
                for pod in self._serving:
                    if pod.name in self._restarts:
                        self._write(pod, 'INFO  "POST /v1/inference HTTP/1.1" 200')

    def _write(self, pod: Pod, *lines: str, stream: str = "stdout", truncate: bool = False) -> None:
        """Write lines in the format of the container runtime interface."""
        with self._file(pod).open("w" if truncate else "a", encoding="utf-8") as log:
            for line in lines:
                log.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z {stream} F {line}\n")
