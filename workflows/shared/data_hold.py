"""Of two runs that change where a service's data is, one is refused: the service's Secret is held meanwhile."""

from datetime import timedelta

from temporalio import workflow

from activities.catalogue.database import DatabasePolicy
from activities.catalogue.service import Service
from activities.common.errors import Refused
from activities.kubernetes.database_secrets import (
    DatabaseSecretRequest,
    DatabaseSecrets,
    HoldSecret,
    PointedAt,
    ReleaseSecret,
)
from workflows.platform import policies
from workflows.platform.runbook import Runbook


class DataHold:
    """The Secret of one service's database, as far as one run holds it."""

    def __init__(self, run: Runbook, section: str, service: Service, database: DatabasePolicy) -> None:
        self.run = run
        self.section = section
        self.namespace = service.namespace
        self.database = database

    @property
    def secrets(self) -> DatabaseSecretRequest:
        """Which Secrets there are."""
        database = self.database
        return DatabaseSecretRequest(
            namespace=self.namespace,
            secret=database.secret,
            key=database.key,
            servers={name: server.secret for name, server in database.servers.items()},
        )

    async def primary(self) -> str:
        """Tell which server the service is pointed at (7.1 step 1, `db status`).

        Raises:
            Refused: it is none of those that settings know, or another run holds it.

        """
        found: PointedAt = await self.run.step(
            self.section,
            "Which server the service is pointed at",
            DatabaseSecrets.pointed_at,
            self.secrets,
            policies.READ,
        )
        if found.held_by not in {None, workflow.info().workflow_id}:
            raise Refused(f"{found.held_by} changes where the data of this service is, until {found.held_until}")
        if found.server is None:
            raise Refused(
                f"the service's Secret {self.database.secret} has none of the servers' URLs: correct it, or the "
                "servers of services.NAME.database in the settings"
            )
        return found.server

    async def take(self, lasting: timedelta) -> None:
        """Hold it from now on, or for longer.

        Raises:
            ActivityError: another run holds it.

        """
        await self.run.step(
            self.section,
            "Keep other runs away",
            DatabaseSecrets.hold,
            HoldSecret(
                namespace=self.namespace,
                secret=self.database.secret,
                until=workflow.now() + lasting,
                effect=self.run.effect("hold-secret"),
            ),
            policies.EFFECT,
        )

    async def release(self) -> None:
        """Let it go; where that doesn't succeed, it ends by itself."""
        if self.run.dry_run:
            return
        await self.run.attempt(
            self.section,
            "Let other runs in",
            DatabaseSecrets.release,
            ReleaseSecret(
                namespace=self.namespace, secret=self.database.secret, effect=self.run.effect("release-secret")
            ),
            policies.EFFECT,
        )
