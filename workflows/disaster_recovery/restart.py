"""All Deployments restarted, stage by stage (runbook 7.2 step 3): `kubectl rollout restart deployment`."""

import asyncio

from temporalio import workflow

from activities.catalogue import Service
from activities.kubernetes import Kubernetes, RestartRollout
from workflows.disaster_recovery.components import rollouts
from workflows.disaster_recovery.crossroads import GO_ON, STOP, Crossroads
from workflows.disaster_recovery.restart_order import Stages
from workflows.shared import policies
from workflows.shared.runbook import Runbook


async def restart(run: Runbook, service: Service, stages: Stages, ways: Crossroads) -> str:
    """Restart a stage, wait until all of it is complete, go on with the next; gives why it was stopped."""
    for number, stage in enumerate(stages, start=1):
        while trouble := await _stage(run, service, stage):
            told = f"stage {number} of {len(stages)} is not back: {trouble}"
            run.say("problem", told, section="7.2/3")
            way = await ways.choose(
                f"stage-{number}", told,
                retry=f"restart {', '.join(stage)} again",
                go_on="go on with what comes after, without it",
                stop="stop here, and leave the rest to people",
            )  # fmt: skip
            if way == STOP:
                return told
            if way == GO_ON:
                break
    return ""


async def _stage(run: Runbook, service: Service, stage: list[str]) -> str:
    at = workflow.now()
    changes = await asyncio.gather(*(
        run.attempt(
            "7.2/3", f"Restart {name}", Kubernetes.restart_rollout,
            RestartRollout(
                namespace=service.namespace, deployment=name, restarted_at=at, effect=run.effect(f"restart-{name}")
            ),
            policies.EFFECT,
        )
        for name in stage
    ))  # fmt: skip
    if run.dry_run:
        return ""
    refused = [f"{name} could not be restarted" for name, did in zip(stage, changes, strict=True) if did is None]
    restarted = [name for name, did in zip(stage, changes, strict=True) if did is not None]
    waiting = await rollouts(run, "7.2/3", service, restarted)
    return "; ".join([*refused, *waiting.values()])
