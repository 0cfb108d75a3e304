"""What is kept of an incident: its pods' logs, the metrics of the time, documents (runbook 2.2, 30+ minutes)."""

from collections.abc import Iterable
from datetime import timedelta

from temporalio import workflow

from activities.catalogue.service import Service
from activities.evidence.evidence import CollectLogs, Evidence, ExportMetrics, StoredEvidence
from workflows.platform import policies
from workflows.platform.runbook import Runbook


class IncidentEvidence:
    """What one run keeps. What could not be kept is said in the timeline, and the run goes on."""

    def __init__(self, run: Runbook, service: Service, incident_id: str, kept: Iterable[StoredEvidence] = ()) -> None:
        self._run = run
        self._service = service
        self._incident_id = incident_id
        self.kept = list(kept)

    def add(self, stored: StoredEvidence | None) -> None:
        """Add what a step has kept; None is nothing."""
        if stored is not None:
            self.kept.append(stored)

    async def collect_logs(self, name: str, since: timedelta, *, failing_only: bool = False) -> None:
        """Keep pod logs (step 9)."""
        self.add(
            await self._run.attempt(
                "2.2/9",
                "Keep the failing pods' logs" if failing_only else "Collect logs",
                Evidence.collect_logs,
                CollectLogs(
                    incident_id=self._incident_id,
                    name=name,
                    namespace=self._service.namespace,
                    selector=self._service.selector,
                    since=since,
                    failing_only=failing_only,
                    effect=self._run.effect(f"keep-{name}"),
                ),
                policies.COLLECT,
            )
        )

    async def export_metrics(self, since: timedelta) -> None:
        """Keep the metrics of the time (step 10)."""
        queries = {k: v for k, v in self._service.metrics if v is not None}
        now = workflow.now()
        self.add(
            await self._run.attempt(
                "2.2/10",
                "Export metrics",
                Evidence.export_metrics,
                ExportMetrics(
                    incident_id=self._incident_id,
                    name="metrics.json",
                    queries=queries,
                    start=now - since,
                    end=now,
                    effect=self._run.effect("metrics"),
                ),
                policies.COLLECT,
            )
        )
