"""Whether a renewed certificate is what clients get, at every address of its names (runbook 6.3 steps 3 and 4).

What is in a Secret says nothing of it: an ingress may go on with what it had when it started. Only where one still
serves the old certificate it is restarted, and as it serves others too, a person is asked first unless settings say
otherwise.
"""

import asyncio
from datetime import timedelta

from pydantic import BaseModel
from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.catalogue.certificates import CertificatePolicy, IngressPolicy, ServedName
from activities.certificates.facts import Certificate
from activities.certificates.probe import AwaitServed, Look, Served, TlsProbe
from activities.certificates.secrets import SecretName, TlsSecrets
from activities.kubernetes.cluster import AwaitRollout, Kubernetes, RestartRollout
from workflows.maintenance.certificate_status import Target
from workflows.platform import policies
from workflows.platform.approval import Question
from workflows.platform.runbook import Runbook
from workflows.shared.desk import Desk

_AT_ONCE = timedelta(seconds=1)
"""For a certificate that was there before the run: nothing is still on its way."""

_RESTART, _LEAVE = "restart", "leave"


class Expected(BaseModel):
    """A certificate that should be served, and where."""

    target: Target
    certificate: Certificate
    renewed: bool
    """By this run, so that it may take a while."""


class Stale(BaseModel):
    """An address that serves something else."""

    target: Target
    name: str
    look: Look

    def __str__(self) -> str:
        if self.look.certificate is None:
            return f"{self.name} at {self.look}"
        return f"{self.name} at {self.look.address} serves {self.look.certificate}"


class ServedEverywhere:
    """Looks, and restarts the ingress where that helps."""

    def __init__(self, run: Runbook, desk: Desk, policy: CertificatePolicy) -> None:
        self.run = run
        self.desk = desk
        self.policy = policy
        self.restarted = False

    async def verify(self, expected: list[Expected]) -> list[Stale]:
        """Look at every address; gives those that serve something else in the end."""
        for one in expected:
            if one.renewed and not one.target.served:
                told = f"nobody has said where {one.target.name} is served (certificates.served): not verified"
                self.run.say("problem", told, section="6.3/3")
        stale = await self._stale(expected)
        ingress = self.policy.ingress
        if not any(one.look.certificate for one in stale) or ingress is None:
            return stale
        if self.run.dry_run:
            self.run.say("decision", f"would restart {_named(ingress)}, which serves an old one", section="6.3/4")
            return stale
        self.run.phase("Restart ingress")
        if not await self._agreed(ingress, stale):
            return stale
        try:
            await self._restart(ingress)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return stale
        self.run.phase("Verify")
        again = {one.target.name for one in stale}
        return await self._stale(
            [one.model_copy(update={"renewed": True}) for one in expected if one.target.name in again]
        )

    async def _stale(self, expected: list[Expected]) -> list[Stale]:
        found = await asyncio.gather(*(self._of(one, seen) for one in expected for seen in one.target.served))
        return [stale for of_name in found for stale in of_name]

    async def _of(self, expected: Expected, before: Served) -> list[Stale]:
        """Wait for one name; where somebody has replaced the certificate meanwhile, for theirs."""
        name = next(one for one in self.policy.served if (one.host, one.port) == (before.host, before.port))
        if not expected.renewed and not before.others(expected.certificate.fingerprint):
            return []
        served = await self._await(expected, name, expected.certificate)
        others = served.others(expected.certificate.fingerprint) if served else []
        if served is not None and not others and not served.problem:
            return []
        theirs = await self._in_secret(expected)
        if theirs is not None and theirs != expected.certificate:
            told = f"somebody has replaced {expected.target.name} meanwhile: {theirs}"
            self.run.say("decision", told, section="6.3/3")
            served = await self._await(expected, name, theirs)
            others = served.others(theirs.fingerprint) if served else []
        if served is None or served.problem:
            if not expected.renewed:
                return []
            why = served.problem if served else "our own look failed"
            return [Stale(target=expected.target, name=str(name), look=Look(address="every address", problem=why))]
        # What could not be looked at before either has been told already.
        seen = [look for look in others if expected.renewed or look.certificate]
        return [Stale(target=expected.target, name=str(name), look=look) for look in seen]

    async def _await(self, expected: Expected, name: ServedName, certificate: Certificate) -> Served | None:
        within = self.policy.served_within if expected.renewed else _AT_ONCE
        return await self.run.attempt(
            "6.3/3",
            f"{name} serves {certificate.short}",
            TlsProbe.await_served,
            AwaitServed(served=name, fingerprint=certificate.fingerprint, within=within),
            policies.READ.lasting(within),
        )

    async def _in_secret(self, expected: Expected) -> Certificate | None:
        secret = expected.target.secret
        if secret is None:
            return None
        at = SecretName(namespace=secret.namespace, name=secret.name)
        found = await self.run.attempt(
            "6.3/3", f"Read {expected.target.name} again", TlsSecrets.read, at, policies.READ
        )
        return found.certificate if found else None

    async def _agreed(self, ingress: IngressPolicy, stale: list[Stale]) -> bool:
        if ingress.restart == "auto":
            return True
        question = Question(
            id="ingress",
            title=f"Restart {_named(ingress)}? It still serves an old certificate",
            options={
                _RESTART: "replace its pods one after the other; long connections through it end",
                _LEAVE: "leave it: it goes on serving the old one",
            },
            recommended=_RESTART,
            default=_LEAVE,
            kind="certificate",
            evidence=[str(one) for one in stale],
            timeout=self.policy.decision_timeout,
        )
        self.run.background(self.desk.ask(question))

        async def escalate(why: str) -> None:
            await self.desk.tell("reminder-ingress", why)

        answer = await self.run.ask(question, escalate=escalate)
        return answer.choice == _RESTART

    async def _restart(self, ingress: IngressPolicy) -> None:
        """Restart it as `kubectl rollout restart` does (6.3 step 4).

        Raises:
            ActivityError: it could not be, or its pods don't come; the timeline says so.

        """
        at = {"namespace": ingress.namespace, "deployment": ingress.deployment}
        restart = RestartRollout(**at, restarted_at=workflow.now(), effect=self.run.effect("restart-ingress"))
        await self.run.step("6.3/4", f"Restart {_named(ingress)}", Kubernetes.restart_rollout, restart, policies.EFFECT)
        self.restarted = True
        wait = policies.WAIT.lasting(ingress.ready_within)
        rollout = AwaitRollout(**at, timeout=ingress.ready_within)
        await self.run.step("6.3/4", "Its new pods", Kubernetes.await_rollout, rollout, wait)


def _named(ingress: IngressPolicy) -> str:
    return f"deployment/{ingress.deployment} in {ingress.namespace}"
