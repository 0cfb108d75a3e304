"""The world of an audit: real records, a store of files and a key; what is looked at answers as the test sets it up."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from temporalio import activity

from activities.common.sheets import sheet
from activities.compliance import access, encryption
from activities.compliance.access import AccessReviewed, ReviewAccess
from activities.compliance.encryption import EncryptionLooked, LookAtEncryption
from activities.compliance.packages import CompliancePackages
from activities.evidence.evidence import keep
from activities.evidence.files import FileStore
from audit.compliance import Gap, Measured
from audit.signer import FileSigner
from tests.audit.stories import new_pem
from tests.workflows.worlds.company import Company
from workers.later import activities_of

AWS = Gap(exhibit=access.NAME, source="AWS IAM", why="no credentials (NoCredentialsError)")
ETCD = Gap(exhibit=encryption.REPORT, source="Kubernetes Secrets in etcd", why="it does not say", mendable=False)


class Audited(Company):
    """Everything answers but etcd, of which nobody can say, unless the test makes it otherwise."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.store = FileStore(Path(tempfile.mkdtemp(prefix="audited-")))
        self.signer: FileSigner | None = FileSigner(new_pem())
        self.gaps: list[list[Gap]] = []
        """What each look at access can't see; the last stays."""

    def activities(self) -> list[Callable[..., Any]]:
        made = CompliancePackages(self.store, self.pool, self.signer)
        world = self

        @activity.defn(name="compliance.access_review")
        def review(request: ReviewAccess) -> AccessReviewed:
            row = ("Approval roles", "security", "role", "may decide: revoke", "every service", "", "2026-01-01")

            def produce(content: IO[bytes]) -> str:
                content.writelines(sheet(access.HEADS, [row]))
                return "1 row"

            gaps = world.gaps.pop(0) if len(world.gaps) > 1 else (world.gaps or [[]])[0]
            kept = keep(
                world.store, f"{request.folder}/{access.NAME}", produce, effect=request.effect, content_type="text/csv"
            )
            return AccessReviewed(**kept.model_dump(), counts={"Approval roles": 1}, gaps=gaps)

        @activity.defn(name="compliance.encryption")
        def look(request: LookAtEncryption) -> EncryptionLooked:
            found = [Measured(group="Kubernetes", what="Secrets in etcd", found=ETCD.why, state="could not look")]

            def produce(content: IO[bytes]) -> str:
                content.write(encryption.MEASURES.dump_json(found))
                return "1 line"

            kept = keep(
                world.store,
                f"{request.folder}/{encryption.NAME}",
                produce,
                effect=request.effect,
                content_type="application/json",
            )
            return EncryptionLooked(**kept.model_dump(), states={"could not look": 1}, gaps=[ETCD])

        return [*super().activities(), *activities_of(CompliancePackages, lambda: made), review, look]
