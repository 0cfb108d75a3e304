"""The workflow sandbox: procedures are checked for determinism, what they share is imported once."""

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

RUNNER = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules(
        # Models and activity classes, with the clients they import: stateless, and far too slow to load per run.
        "activities",
        "audit",
        # The platform of the procedures; has no state of its own either.
        "workflows.shared",
        "workflows.customer_operations.checklist",
        "workflows.customer_operations.customer_words",
        "workflows.customer_operations.day_0",
        "workflows.customer_operations.words",
        "workflows.deployment.off_peak",
        "workflows.deployment.predeploy",
        "workflows.deployment.way_back",
        "workflows.disaster_recovery.damaged_copy",
        "workflows.disaster_recovery.restore_beside",
        "workflows.disaster_recovery.restore_notices",
        "workflows.disaster_recovery.restore_plan",
        "workflows.disaster_recovery.switch_over",
        "workflows.disaster_recovery.write_stop",
        "workflows.scaling.target",
        "workflows.incident_response.assessment",
        "workflows.incident_response.diagnosis",
        "workflows.incident_response.incident",
        "workflows.incident_response.mitigation",
        "workflows.incident_response.post_mortem",
        "workflows.incident_response.severity",
        "workflows.security.key_change",
        "workflows.security.words",
        "cryptography",
        "annotated_types",
    )
)
