"""Whom else a recovery touches (runbook 7.2 step 3): Deployments of other services in its namespace."""

from activities.catalogue.service import Service
from workflows.disaster_recovery.recovery.restart import Stages
from workflows.platform.approval import Question
from workflows.platform.runbook import Runbook
from workflows.shared.desk import Desk

OWN, ALL, STOP = "own", "all", "stop"


def touched(run: Runbook, service: Service, stages: Stages) -> dict[str, str]:
    """Name the Deployments that are to be restarted and are another service's, each with that service."""
    neighbours = (run.pinned.neighbours or []) if run.pinned else []
    wanted = [name for stage in stages for name in stage if name != service.deployment]
    return {
        one.deployment: one.service
        for one in neighbours
        if one.namespace == service.namespace and one.deployment in wanted
    }


async def agreed(run: Runbook, desk: Desk, service: Service, stages: Stages) -> Stages | None:
    """Ask whether other services are restarted too; gives the stages that are left, None where people stop it.

    Nobody who answers means: the others are let alone.
    """
    others = touched(run, service, stages)
    if not others:
        return stages
    named = ", ".join(f"{deployment} (service {owner})" for deployment, owner in others.items())
    question = Question(
        id="others",
        title=f"A restart of all of namespace {service.namespace} restarts other services too: {named}. Restart them?",
        options={
            OWN: "let them alone, and restart the rest",
            ALL: f"restart them too: {named}",
            STOP: "stop here, and leave it to people",
        },
        recommended=OWN,
        default=OWN,
        kind="mitigate",
        evidence=[f"{deployment} is of {owner}" for deployment, owner in others.items()],
        reason_for=[ALL],
        timeout=service.recovery.decision_timeout,
    )
    if run.dry_run:
        run.say("decision", f"would ask: {question.title}", section="7.2/3")
        return stages
    run.background(desk.ask(question))
    answer = await run.ask(question, escalate=desk.escalate)
    if answer.choice == STOP:
        return None
    if answer.choice == ALL:
        return stages
    run.say("decision", f"Not restarted: {named}", section="7.2/3")
    left = [[name for name in stage if name not in others] for stage in stages]
    return [stage for stage in left if stage]
