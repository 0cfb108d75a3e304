"""Begins a settings file: `runbooks config init`.

What isn't said is looked for in the cluster; what isn't there either is asked, where somebody can be.
"""

import json
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError
from temporalio.exceptions import ApplicationError

from activities.autoscaling.discovery import Found, deployments, described
from activities.catalogue.service import Service
from activities.common.errors import Refused
from activities.kubernetes import api as kubernetes_api
from activities.kubernetes import kubeconfig
from activities.kubernetes.api import Object
from starters.cli.facts import result
from starters.cli.people import answered, somebody_there
from starters.cli.quiet import hint
from starters.steering.errors import WrongInput
from workers.settings import explain
from workers.settings_reference import reference

if TYPE_CHECKING:
    from libraries import kubernetes

_HEAD = """\
# Settings of durable runbooks. Everything that is a comment has the default that is shown.
# `runbooks config check` reads this file, `runbooks services` says what can run, docs/settings.md explains all of it.

"""


_ROUTES = """\
# Which alert starts what: the first rule that matches counts. More: docs/alert-sources.md, deploy/routes.toml.

[[route]]
match = { severity = "P1" }
procedure = "p1-incident"
"""
_SHOWN = 20
_NAMESPACE = "default"
"""Kubernetes' own."""


@dataclass(frozen=True)
class Said:
    """What was said of the service; what is None is looked for."""

    service: str
    namespace: str | None = None
    deployment: str | None = None
    selector: str | None = None
    health_url: str | None = None
    hpa: str | None = None
    scaled_object: str | None = None

    @property
    def workload(self) -> str:
        """The Deployment's name: as the service is called, where nothing else was said."""
        return self.deployment or self.service


@dataclass(frozen=True)
class Reached:
    """How the cluster is reached; as kubectl does it where nothing is said."""

    kubeconfig: Path | None = None
    context: str | None = None

    def given(self) -> dict[str, str]:
        """Give what the settings are to say of it."""
        where = {"kubeconfig": str(self.kubeconfig.resolve())} if self.kubeconfig else {}
        return where | ({"context": self.context} if self.context else {})

    def connect(self) -> AbstractContextManager["kubernetes.ApiClient"]:
        """Connect to it, also by what the settings' own variables say."""
        variables = {name: os.environ.get(f"RUNBOOKS_KUBERNETES__{name.upper()}") for name in ("kubeconfig", "context")}
        told = {**variables, **self.given()}
        file, context = (Path(told["kubeconfig"]) if told["kubeconfig"] else None), told["context"] or None
        kubeconfig.check(file, context)
        return kubernetes_api.connect(file, context)


def write(file: Path, said: Said, reached: Reached, *, as_json: bool) -> None:
    """Write it, where there is none yet; and beside it the rules for alerts, where there are none.

    Raises:
        WrongInput: there is one, or these values can't be, or nothing says what has to be said.

    """
    if file.exists():
        raise WrongInput(f"{file}: there is one already: nothing was written")
    values = _settled(said, _in_cluster(said, reached))
    try:
        Service.model_validate({**values, "name": said.service})
    except ValidationError as error:
        raise WrongInput(explain(error)) from None
    text = _HEAD + _section(f"services.{json.dumps(said.service)}", values)
    if given := reached.given():
        text += _section("kubernetes", given)
    routes = file.with_name("routes.toml")
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as new:
            new.write(text + reference())
        if not routes.exists():
            routes.write_text(_ROUTES, encoding="utf-8")
    except OSError as error:
        raise WrongInput(f"{file}: {error.strerror}: nothing was written") from None
    sentence = f"{file}: written. `runbooks config check` reads it, `runbooks services` says what can run"
    result(sentence, as_json=as_json, file=file.resolve(), service=said.service, **values)


def _section(name: str, values: dict[str, str]) -> str:
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *lines]) + "\n\n"


def _settled(said: Said, found: Found | None) -> dict[str, str]:
    """Put together what was said, what was found, and what is asked now.

    Raises:
        WrongInput: nobody can be asked where the service tells its health.

    """
    seen = found or Found(said.namespace or _NAMESPACE, said.workload, f"app={said.service}")
    given = {name: value for name, value in asdict(said).items() if value and name != "service"}
    values = {**asdict(seen), **given}
    values["health_url"] = values["health_url"] or _asked_for_health(said, seen.namespace)
    return {name: value for name, value in values.items() if value}


def _asked_for_health(said: Said, namespace: str) -> str:
    example = f"http://{said.service}.{namespace}.svc:8080/health"
    if not somebody_there():
        raise WrongInput(
            f"--health-url: nothing says where {said.service} tells its health: name it, such as {example}"
        )
    return answered(f"Where does it tell its health? Such as {example}")


# -- the cluster -----------------------------------------------------------------------------------------


def _in_cluster(said: Said, reached: Reached) -> Found | None:
    """Look for the service's Deployment and what belongs to it; None where there is none, or no cluster answers.

    Raises:
        WrongInput: several may be meant, and nobody can be asked which.

    """
    try:
        with reached.connect() as api:
            meant = _meant(deployments(api, said.namespace), said)
            found = described(api, meant) if meant else None
    except Refused as refused:
        where = "" if said.namespace else " Name its namespace with --namespace."
        hint(f"the cluster was not looked at: {refused.message}.{where}")
        return None
    except ApplicationError as error:
        hint(f"the cluster was not looked at: {error.message}")
        return None
    if found is not None:
        told = {"HPA": found.hpa, "ScaledObject": found.scaled_object, "health": found.health_url}
        more = "".join(f", {name} {value}" for name, value in told.items() if value)
        hint(f"found: Deployment {found.namespace}/{found.deployment}, pods {found.selector}{more}")
    return found


def _meant(listed: Sequence[Object], said: Said) -> Object | None:
    """Give the Deployment that is meant; None where it isn't there yet.

    Raises:
        WrongInput: several may be, and nobody can be asked.

    """
    there = {f"{one['metadata']['namespace']}/{one['metadata']['name']}": one for one in listed}
    fits = [place for place, one in there.items() if one["metadata"]["name"] == said.workload]
    if len(fits) == 1:
        return there[fits[0]]
    if fits:
        if not somebody_there():
            raise WrongInput(f"Deployment {said.workload} is there more than once: {', '.join(fits)}. Say --namespace")
        hint(f"Deployment {said.workload} is there more than once:")
        return there.get(_chosen(fits))
    absent = f"no Deployment is called {said.workload}{f' in {said.namespace}' if said.namespace else ''}"
    if there and somebody_there():
        hint(f"{absent}. There are:")
        return there.get(_chosen(list(there)))
    if there and said.namespace is None:
        shown = [*list(there)[:_SHOWN], *(["…"] if len(there) > _SHOWN else [])]
        raise WrongInput(f"{absent}: name it with --deployment, or say --namespace. There are: {', '.join(shown)}")
    hint(f"{absent} yet: what isn't said is taken from its name")
    return None


def _chosen(places: list[str]) -> str:
    """Ask which is meant; empty is none of them."""
    for place in places[:_SHOWN]:
        hint(f"  {place}")
    answer = answered("Which is it (NAMESPACE/NAME)? Empty: none of them", default="", show_default=False)
    return answer if answer in places or not answer else _chosen(places)
