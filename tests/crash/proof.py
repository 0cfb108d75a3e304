"""The scenario of the restore's proofs."""

from typing import Any

import psycopg

from tests.crash.scenario import Case
from tests.crash.scenarios.point_in_time_restore import RestoreScenario


class ProofScenario(RestoreScenario):
    """A customer of the scenario's name has used the service since the mark, and is told."""

    name = "restore-proof"

    def database_policy(self, case: Case) -> dict[str, Any]:
        policy = super().database_policy(case)
        policy["restore"]["notify_customers"] = True
        return policy

    def begin(self, case: Case, health: str) -> None:
        super().begin(case, health)
        with psycopg.connect(case.servers.records) as records:
            records.execute(
                "INSERT INTO runbooks.tenants (tenant_id, name, tier, contact_name, email) "
                "VALUES (%s, %s, 'team', 'Grace', %s)",
                (self.name, self.name, f"it@{self.name}.example"),
            )
            records.execute("SELECT runbooks.record_usage(%s, 'api_call')", (self.name,))
