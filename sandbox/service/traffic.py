"""Requests that nobody sends: a steady load, served or failed as the ready pods can, counted as a service would."""

import math
import threading
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from sandbox.service.state import Snapshot

REQUESTS_PER_POD = 20.0
"""What one ready pod can answer in a second."""

_TICK_SECONDS = 0.25
_QUICK_SECONDS = 0.04
_FULL = 0.97
_BUCKETS = (0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)


class Traffic:
    """Drives the metrics from `now`, a few times a second."""

    def __init__(self, service: str, now: Callable[[], Snapshot], requests_per_second: float) -> None:
        self.requests_per_second = requests_per_second
        self.gpu_utilisation = 0.4
        self.failing = 0.0
        """Share of what it could answer that fails, as by a fault in its code."""

        self._now = now
        self._carried = {"200": 0.0, "500": 0.0, "503": 0.0}
        self._stop = threading.Event()
        self._registry = CollectorRegistry()
        label = ("service",)
        self._up = self._gauge("service_up", "1 while any pod takes requests.").labels(service)
        self._ready = self._gauge("service_ready_replicas", "Pods that take requests.").labels(service)
        self._desired = self._gauge("service_desired_replicas", "Pods that there should be.").labels(service)
        self._saturation = self._gauge("service_saturation", "Load as a share of capacity, 0 to 1.").labels(service)
        self._gpu = self._gauge("service_gpu_utilisation", "Use of its GPUs, 0 to 1.").labels(service)
        self._database = Gauge(
            "service_database_up", "1 while its database takes writes.", label, registry=self._registry
        )
        self._info = Gauge("service_info", "Version that serves.", (*label, "version"), registry=self._registry)
        self._requests = Counter("http_requests_total", "Requests.", (*label, "code"), registry=self._registry)
        self._latency = Histogram(
            "http_request_duration_seconds", "Latency.", label, registry=self._registry, buckets=_BUCKETS
        ).labels(service)
        self._service = service

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, ("service",), registry=self._registry)

    def start(self) -> None:
        """Begin, in a thread that ends with the process."""
        threading.Thread(target=self._run, name="traffic", daemon=True).start()

    def stop(self) -> None:
        """End it."""
        self._stop.set()

    def utilisation(self, ready: int) -> float:
        """Load as a share of what the ready pods can answer; infinite without any."""
        return self.requests_per_second / (ready * REQUESTS_PER_POD) if ready else math.inf

    def exposition(self) -> bytes:
        """Give the metrics in Prometheus' text format."""
        self._observe(self._now())
        return generate_latest(self._registry)

    def _run(self) -> None:
        while not self._stop.wait(_TICK_SECONDS):
            self._send(self._now())

    def _observe(self, snapshot: Snapshot) -> None:
        self._up.set(snapshot.ready > 0)
        self._ready.set(snapshot.ready)
        self._desired.set(snapshot.desired or 0)
        self._saturation.set(min(1.0, self.utilisation(snapshot.ready)))
        self._gpu.set(self.gpu_utilisation)
        if snapshot.database is not None:
            self._database.labels(self._service).set(snapshot.database == "ok")
        self._info.clear()
        if snapshot.version is not None:
            self._info.labels(self._service, snapshot.version).set(1)

    def _send(self, snapshot: Snapshot) -> None:
        # Without its database it answers nobody.
        used = math.inf if snapshot.database == "unreachable" else self.utilisation(snapshot.ready)
        served = 0.0 if math.isinf(used) else min(1.0, 1.0 / used) if used else 1.0
        latency = _QUICK_SECONDS / (1.0 - min(used, _FULL))  # a queue's waiting time
        failed = served * self.failing
        for code, share in (("200", served - failed), ("500", failed), ("503", 1.0 - served)):
            self._carried[code] += self.requests_per_second * _TICK_SECONDS * share
            whole = int(self._carried[code])
            self._carried[code] -= whole
            self._requests.labels(self._service, code).inc(whole)
            for _ in range(whole):
                self._latency.observe(latency)
