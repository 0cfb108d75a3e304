"""Both backends are CI services."""

from temporalio.testing import ActivityEnvironment

from activities.releases.ci import Ci, CiService
from activities.releases.ci_github import GitHubCi
from activities.releases.ci_records import RecordsCi
from tests.activities.contracts.github import GitHubContract
from tests.activities.releases.ci_requests import V, of


def test_both_backends_are_ci_services(github: GitHubCi, service: GitHubContract, records: RecordsCi) -> None:
    service.run(V, "lint")
    backends: list[CiService] = [github, records]
    verdicts = [ActivityEnvironment().run(Ci(backend).status, of()).verdict for backend in backends]
    assert verdicts == ["passed", "unknown"]
