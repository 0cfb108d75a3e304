"""A worker is killed at effects of every procedure, and nothing is done twice, lost or left behind.

`python -m tests.crash PROCEDURE` kills at all of them. Of those named here each has a mechanism of its own.
"""

import asyncio
from collections.abc import Callable

import pytest

from tests.crash.__main__ import summary
from tests.crash.case_queue import now_and_then
from tests.crash.harness import Outcome, crash_all
from tests.crash.scenario import Scenario, Servers
from tests.crash.scenarios import SCENARIOS

WHOLE = {
    "p1-incident": 40,
    "morning-startup": 1,
    "hourly-health-pulse": 1,
    "end-of-day": 1,
    "compliance-audit": 3,
    "maintenance-window": 20,
    "maintenance-window-cancelled": 20,
}
"""Killed at every effect, which are more than so many."""

KILLS = {
    "p1-incident-scaled": {
        "P1Incident/pause-autoscaler:after",
        "P1Incident/scale:before",
        "P1Incident/scale:after",
        "P1Incident/resume-autoscaler:before",
        "P1Incident/resume-autoscaler:after",
    },
    "p2-incident": {
        "P2Incident/pause-autoscaler:after",
        "P2Incident/scale:after",
        "P2Incident/figures:after",
        "P2Incident/resume-autoscaler:before",
        "P2Incident/resolve-alert:before",
    },
    "p2-incident-raised": {
        "P1Incident/raise-incident:before",
        "P1Incident/raise-incident:after",
        "P1Incident/page-level-2:before",
        "P2Incident/resume-autoscaler:before",
        "P2Incident/resume-autoscaler:after",
    },
    "p2-incident-taken-in": {
        "P2Incident/create-incident:after",
        "P2Incident/scale:after",
        "P2Incident/resume-autoscaler:before",
        "P2Incident/resume-autoscaler:after",
    },
    "security-incident": {
        "SecurityIncident/cordon-1:after",
        "SecurityIncident/isolate:after",
        "SecurityIncident/evidence:after",
        "SecurityIncident/drain:before",
        "SecurityIncident/drain:after",
        "SecurityIncident/uncordon-1:after",
        "SecurityIncident/introduce-signing:after",
        "SecurityIncident/switch-signing:after",
        "SecurityIncident/retire-signing:after",
        "SecurityIncident/switch-login:before",
        "SecurityIncident/switch-login:after",
        "SecurityIncident/retire-login:after",
        "SecurityIncident/switch-token:before",
        "SecurityIncident/switch-token:after",
        "SecurityIncident/retire-token:after",
        "SecurityIncident/accesses-ingress:before",
        "SecurityIncident/accesses-ingress:after",
        "SecurityIncident/block:before",
        "SecurityIncident/block:after",
        "SecurityIncident/unblock:before",
        "SecurityIncident/unblock:after",
        "SecurityIncident/close:before",
    },
    "manual-scale-up": {"ManualScaleUp/scale:before", "ManualScaleUp/scale:after"},
    "emergency-scale-up": {
        "EmergencyScaleUp/pause-autoscaler:before",
        "EmergencyScaleUp/pause-autoscaler:after",
        "EmergencyScaleUp/scale:after",
        "EmergencyScaleUp/post-scaled:before",
        "EmergencyScaleUp/resume-autoscaler:before",
        "EmergencyScaleUp/resume-autoscaler:after",
    },
    "emergency-scale-up-cancelled": {
        "EmergencyScaleUp/pause-autoscaler:after",
        "EmergencyScaleUp/scale:before",
        "EmergencyScaleUp/resume-autoscaler:before",
        "EmergencyScaleUp/resume-autoscaler:after",
    },
    "emergency-scale-up-hpa": {
        "EmergencyScaleUp/pause-autoscaler:after",
        "EmergencyScaleUp/resume-autoscaler:after",
    },
    "add-gpu-node": {"AddGpuNode/add-node:before", "AddGpuNode/add-node:after"},
    "add-gpu-node-put-back": {"AddGpuNode/put-back:before", "AddGpuNode/put-back:after"},
    "standard-deployment": {
        "StandardDeployment/record-started:after",
        "StandardDeployment/helm-upgrade:before",
        "StandardDeployment/helm-upgrade:during",
        "StandardDeployment/helm-upgrade:after",
        "StandardDeployment/smoke-job:before",
        "StandardDeployment/smoke-job:after",
        "StandardDeployment/record-complete:after",
    },
    "standard-deployment-bad": {
        "StandardDeployment/helm-upgrade:during",
        "Rollback/rollback:during",
        "Rollback/rollback:after",
        "Rollback/record-rollback:after",
    },
    "rollback": {
        "Rollback/keep-logs:after",
        "Rollback/rollback:before",
        "Rollback/rollback:during",
        "Rollback/rollback:after",
    },
    "rollback-undo": {"Rollback/rollback:before", "Rollback/rollback:after"},
    "database-maintenance": {
        "DatabaseMaintenance/vacuum:after",
        "DatabaseMaintenance/reindex:after",
        "DatabaseMaintenance/reindex:during@primary",
        "DatabaseMaintenance/end-session:after",
    },
    "certificate-renewal": {
        "CertificateRenewal/order:after",
        "CertificateRenewal/show:before",
        "CertificateRenewal/issue:after",
        "CertificateRenewal/install:after",
        "CertificateRenewal/release:before",
    },
    "enterprise-onboarding": {
        "EnterpriseOnboarding/tenant:after",
        "EnterpriseOnboarding/issue:after",
        "EnterpriseOnboarding/admin:after",
        "EnterpriseOnboarding/mail-welcome:after",
        "EnterpriseOnboarding/tenant-suspend:before",
    },
    "issue-escalation": {
        "IssueEscalation/ticket:after",
        "IssueEscalation/comment-2:before",
        "IssueEscalation/mail-issue_update:after",
        "IssueEscalation/close:after",
    },
    "churn-prevention": {"ChurnPrevention/intervention:after", "ChurnPrevention/close:before"},
    "full-service-recovery": {
        "FullServiceRecovery/traffic-0:after",
        "FullServiceRecovery/stop-cronjob-nightly:after",
        "FullServiceRecovery/restart-statefulset-cache:after",
        "FullServiceRecovery/restart-tensafe-server:before",
        "FullServiceRecovery/restart-tensafe-server:after",
        "FullServiceRecovery/test-job:after",
        "FullServiceRecovery/traffic-100:before",
        "FullServiceRecovery/traffic-100:after",
    },
    "full-service-recovery-cancelled": {
        "FullServiceRecovery/give-back-cronjob-nightly:before",
        "FullServiceRecovery/traffic-50:after",
        "FullServiceRecovery/traffic-100:before",
        "FullServiceRecovery/traffic-100:after",
    },
    "full-service-recovery-restored": {"PointInTimeRestore/release-secret:after"},
    "database-failover": {
        "DatabaseFailover/fence:during",
        "DatabaseFailover/promote:after",
        "DatabaseFailover/promote:during@replica-1",
        "DatabaseFailover/point:after",
        "DatabaseFailover/point-billing:after",
        "DatabaseFailover/restart-deployment-billing:before",
        "DatabaseFailover/rejoin:during",
    },
    "database-failover-cancelled": {"DatabaseFailover/promote:before"},
    "point-in-time-restore": {
        "PointInTimeRestore/stop-writes:after",
        "PointInTimeRestore/restore:during",
        "PointInTimeRestore/restore:during@spare-1",
        "PointInTimeRestore/fence:after",
        "PointInTimeRestore/point:before",
    },
    "point-in-time-restore-declined": {"PointInTimeRestore/discard-spare:before"},
    "point-in-time-restore-cancelled": {"PointInTimeRestore/scale-back:before"},
    "api-key-rotation": {
        "ApiKeyRotation/issue:before",
        "ApiKeyRotation/issue:after",
        "ApiKeyRotation/mail-api_key_rotated:after",
        "ApiKeyRotation/deprecate:after",
        "ApiKeyRotation/revoke:before",
        "ApiKeyRotation/revoke:after",
    },
    "api-key-rotation-extended": {"ApiKeyRotation/deprecate-2:before", "ApiKeyRotation/deprecate-2:after"},
    "api-key-rotation-compromised": {"ApiKeyRotation/issue:before", "ApiKeyRotation/issue:after"},
}
ALL = {scenario.name: scenario for scenarios in SCENARIOS.values() for scenario in scenarios}


@pytest.fixture(scope="package")
def outcomes(crash_servers: Servers, request: pytest.FixtureRequest) -> dict[str, Outcome]:
    """What became of all scenarios whose tests are run: their kills stand in one queue."""
    asked = [
        str(item.callspec.params["name"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and "outcomes" in item.fixturenames
    ]

    def chosen(scenario: Scenario, kill: str) -> bool:
        return scenario.name not in KILLS or kill in KILLS[scenario.name]

    scenarios = [ALL[name] for name in dict.fromkeys(asked)]
    moved = now_and_then(_say_past_the_capture(request.config))
    return asyncio.run(crash_all(scenarios, crash_servers, chosen=chosen, moved=moved))


def _say_past_the_capture(config: pytest.Config) -> Callable[[str], None]:
    """Give what writes a line to the terminal at once; where another process has the terminal, there is none."""
    terminal, capture = (config.pluginmanager.getplugin(name) for name in ("terminalreporter", "capturemanager"))

    def say(line: str) -> None:
        if terminal is not None:
            with capture.global_and_fixture_disabled():
                terminal.write_line(f"kills: {line}")

    return say


@pytest.mark.timeout(3600)  # the first of these tests waits for all of the queue
@pytest.mark.parametrize("name", list(ALL))
def test_a_killed_worker_leaves_what_an_undisturbed_run_leaves(outcomes: dict[str, Outcome], name: str) -> None:
    chosen = KILLS.get(name)
    verdicts = outcomes[name].checked()
    print(*verdicts, f"{name}: {summary(verdicts)}", sep="\n")
    assert [str(verdict) for verdict in verdicts if not verdict.clean] == []
    made = {verdict.kill for verdict in verdicts}
    assert made == chosen if chosen else len(made) > WHOLE[name]
