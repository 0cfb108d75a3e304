"""In which order a namespace's Deployments are restarted (runbook 7.2 step 3): pinned before anything is changed."""

from collections.abc import Iterable

from activities.catalogue import Service
from activities.errors import Misconfigured, Refused
from activities.workloads import WorkloadStates

Stages = list[list[str]]


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
        message = f"paused, so that a restart would do nothing: {held}. Resume it first (`kubectl rollout resume`)"
        raise Refused(message)
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
        message = (
            f"{setting} of {service.name}: namespace {service.namespace} has no deployment {missing}; it has: {known}"
        )
        raise Misconfigured(message)
