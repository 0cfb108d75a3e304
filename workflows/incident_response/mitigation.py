"""The mitigations of runbook 2.2: options A, B and C, asked about and done."""

from temporalio import workflow

from activities.catalogue.service import Service
from activities.common.effects import Change
from activities.kubernetes.cluster import Kubernetes, RestartRollout, ScaleDeployment, UndoRollout
from workflows.incident_response.diagnosis import Diagnosis, Proposal
from workflows.platform import policies
from workflows.platform.approval import Question
from workflows.platform.runbook import Runbook

BY_HAND = "none"
"""The choice of leaving it to people."""


async def mitigate(run: Runbook, service: Service, chosen: Proposal) -> Change | None:
    """Do what was chosen, with the values that were pinned when it was proposed; None when it could not be done."""
    where = {"namespace": service.namespace, "deployment": service.deployment}
    effect = run.effect(chosen.mitigation)
    match chosen.mitigation:
        case "rollback":
            undo = UndoRollout(
                **where, from_revision=chosen.from_revision, to_revision=chosen.to_revision or 0, effect=effect
            )
            return await run.attempt("2.2/A", "Roll back", Kubernetes.undo_rollout, undo, policies.EFFECT)
        case "restart":
            restart = RestartRollout(**where, restarted_at=workflow.now(), effect=effect)
            return await run.attempt("2.2/B", "Restart the pods", Kubernetes.restart_rollout, restart, policies.EFFECT)
        case "scale":
            # Somebody may have raised it since it was looked at: never down.
            scale = ScaleDeployment(**where, replicas=chosen.replicas or 1, at_least=True, effect=effect)
            return await run.attempt("2.2/C", "Scale up", Kubernetes.scale, scale, policies.EFFECT)


def question(number: int, diagnosis: Diagnosis, service: Service, *, allowed: bool) -> Question:
    """Ask which mitigation; without an `allowed` one left, only whether people go on by hand."""
    options = {p.mitigation: p.does for p in diagnosis.proposals} if allowed else {}
    first = diagnosis.first
    # What others don't give, no default of ours may act upon; nor is a service that says it is well changed unasked.
    default = BY_HAND if diagnosis.not_ours or diagnosis.says_healthy else service.incident.safe_default
    pointed = f"it points to {diagnosis.reason.replace('_', ' ')} ({diagnosis.certainty})"
    mended = [f"what mends it: {diagnosis.mended_by}"] if diagnosis.mended_by else []
    return Question(
        id=f"mitigation-{number}",
        title="Which mitigation?",
        options={**options, BY_HAND: "nothing automatic: people mitigate"},
        # A proposal that nothing speaks for can be chosen, but isn't recommended.
        recommended=first.mitigation if first and first.because and allowed else BY_HAND,
        default=default if default in options else BY_HAND,
        kind="mitigate",
        evidence=[pointed, *diagnosis.because, *mended, *diagnosis.evidence],
        timeout=service.incident.decision_timeout,
    )
