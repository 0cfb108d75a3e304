"""All Deployments restarted, stage by stage (runbook 7.2 step 3): `kubectl rollout restart deployment`."""

import asyncio
from collections.abc import Iterable

from temporalio import workflow

from activities.catalogue.service import Service
from activities.common.errors import Misconfigured, Refused
from activities.kubernetes.cluster import Kubernetes, RestartRollout
from activities.kubernetes.workloads import WorkloadStates
from workflows.disaster_recovery.recovery.components import rollouts
from workflows.disaster_recovery.recovery.retry_or_stop import GO_ON, STOP, RetryOrStop
from workflows.platform import policies
from workflows.platform.runbook import Runbook

Stages = list[list[str]]


async def restart(run: Runbook, service: Service, stages: Stages, ways: RetryOrStop) -> str:
    """Restart a stage, wait until all of it is complete, go on with the next; gives why it was stopped."""
    for number, stage in enumerate(stages, start=1):
        while trouble := await _stage(run, service, stage):
            told = f"stage {number} of {len(stages)} is not back: {trouble}"
            run.say("problem", told, section="7.2/3")
            way = await ways.choose(
                f"stage-{number}",
                told,
                retry=f"restart {', '.join(stage)} again",
                go_on="go on with what comes after, without it",
                stop="stop here, and leave the rest to people",
            )
            if way == STOP:
                return told
            if way == GO_ON:
                break
    return ""


async def _stage(run: Runbook, service: Service, stage: list[str]) -> str:
    at = workflow.now()
    changes = await asyncio.gather(
        *(
            run.attempt(
                "7.2/3",
                f"Restart {name}",
                Kubernetes.restart_rollout,
                RestartRollout(
                    namespace=service.namespace, deployment=name, restarted_at=at, effect=run.effect(f"restart-{name}")
                ),
                policies.EFFECT,
            )
            for name in stage
        )
    )
    if run.dry_run:
        return ""
    refused = [f"{name} could not be restarted" for name, did in zip(stage, changes, strict=True) if did is None]
    restarted = [name for name, did in zip(stage, changes, strict=True) if did is not None]
    waiting = await rollouts(run, "7.2/3", service, restarted)
    return "; ".join([*refused, *waiting.values()])


def pin(service: Service, found: WorkloadStates) -> Stages:
    """Give the settings' stages; where there are none, all Deployments, and the service's own after them.

    One that is paused is left out where settings don't name it: a restart would do nothing.

    Raises:
        Misconfigured: settings name a Deployment that the namespace doesn't have; lists those it has.
        Refused: one that settings name is paused.

    """
    policy = service.recovery
    components = [part.deployment for part in policy.components.values() if part.deployment]
    named = [name for stage in policy.order for name in stage]
    _known([service.deployment], found, "deployment", service)
    _known(named, found, "recovery.order", service)
    _known(components, found, "recovery.components", service)
    paused = [state.name for state in found.items if state.paused]
    wanted = named or [service.deployment]
    if held := ", ".join(name for name in wanted if name in paused):
        raise Refused(f"paused, so that a restart would do nothing: {held}. Resume it first (`kubectl rollout resume`)")
    if policy.order:
        return [list(stage) for stage in policy.order if stage]
    others = [name for name in found.names if name != service.deployment and name not in paused]
    return [*([others] if others else []), [service.deployment]]


def left_out(stages: Stages, found: WorkloadStates) -> list[str]:
    """Name the Deployments that will not be restarted."""
    return [name for name in found.names if not any(name in stage for stage in stages)]


def _known(names: Iterable[str], found: WorkloadStates, setting: str, service: Service) -> None:
    if missing := ", ".join(sorted(set(names) - set(found.names))):
        known = ", ".join(found.names) or "none"
        raise Misconfigured(
            f"{setting} of {service.name}: namespace {service.namespace} has no deployment {missing}; it has: {known}"
        )
