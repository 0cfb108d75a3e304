"""Whether a primary has failed: several looks, from several places (runbook 7.1 step 1)."""

from datetime import datetime

from temporalio import workflow

from activities.catalogue.database import DatabasePolicy
from activities.common.errors import InvalidInput
from activities.database.replication.probe import Place
from activities.database.replication.replication import Replication, Standing, StandingRequest, Watched, WatchPrimary
from activities.monitoring.prometheus import MetricsRequest, PrometheusMetrics
from workflows.platform import policies
from workflows.platform.resets import Earlier
from workflows.platform.runbook import Runbook


class Detection:
    """Looks at one primary, by the policy of its database."""

    def __init__(self, run: Runbook, database: DatabasePolicy, primary: str, promote: str | None) -> None:
        self.run = run
        self.database = database
        self.primary = primary
        self.replicas = replicas(database, primary, promote)

    async def detect(self, before: Earlier | None = None) -> Watched:
        """Look for as long as the policy says; monitoring's word counts as well.

        A run that was reset behind its fence goes by what it had seen `before`: by now the primary is another one.
        """
        if before is not None and (known := before.answer(Replication.watch)) is not None:
            return known
        policy = self.database.failover
        watched = await self._watch(policy.probes, None)
        if watched.answers or policy.up is None:
            return watched
        for _ in range(policy.probes):
            up, detail = await self._monitored(policy.up)
            seen = [*watched.places, Place(name="metrics", answers=up, detail=detail)]
            watched = watched.model_copy(update={"answers": up, "places": seen})
            if not up:
                return watched
            await workflow.sleep(policy.probe_every, summary="monitoring may be behind")
            watched = watched.model_copy(update={"places": seen[:-1]})
        self._alive(f"{self.primary} is up, says monitoring")
        return watched.model_copy(update={"answers": True})

    async def once_more(self, watched: Watched) -> Watched:
        """Look again, after people have taken their time; whatever a replica has heard meanwhile counts."""
        return await self._watch(1, watched.first_failed_at)

    async def standing(self, before: Earlier | None = None) -> Standing:
        """Read how far the replicas are, or were before a reset."""
        if before is not None and (known := before.answer(Replication.standing)) is not None:
            return known
        request = StandingRequest(database=self.database.name, servers=self.replicas)
        return await self.run.step("7.1/1", "Replicas", Replication.standing, request, policies.READ)

    async def _watch(self, probes: int, silent_since: datetime | None) -> Watched:
        policy = self.database.failover
        watched = await self.run.step(
            "7.1/1",
            f"Look at {self.primary}",
            Replication.watch,
            WatchPrimary(
                database=self.database.name,
                primary=self.primary,
                replicas=self.replicas,
                probes=probes,
                every=policy.probe_every,
                timeout=policy.probe_timeout,
                silent_since=silent_since,
            ),
            policies.WAIT.lasting((policy.probe_every + policy.probe_timeout) * probes),
        )
        if watched.answers:
            self._alive(f"{self.primary} answers")
        return watched

    async def _monitored(self, query: str) -> tuple[bool, str]:
        request = MetricsRequest(queries={"up": query})
        found = await self.run.attempt("7.1/1", "Monitoring", PrometheusMetrics.snapshot, request, policies.READ)
        value = found.values.get("up") if found else None
        return bool(value), "no data" if value is None else "up" if value else "down"

    def _alive(self, how: str) -> None:
        then = "a real run would end here" if self.run.dry_run else "nothing is changed"
        self.run.say("decision", f"{how}: {then}", section="7.1/1")


def replicas(database: DatabasePolicy, primary: str, promote: str | None) -> tuple[str, ...]:
    """Give the servers that may be replicas of the primary: those that are not free for a restore.

    Raises:
        InvalidInput: the one to be promoted is none of them; says which are.

    """
    found = tuple(name for name, server in database.servers.items() if name != primary and not server.spare)
    if promote is not None and promote not in found:
        what = "is the primary now" if promote == primary else "is no replica in the settings"
        raise InvalidInput(f"promote: it {what}. Replicas: {', '.join(found) or 'none'}")
    return found
