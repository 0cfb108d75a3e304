"""Three secrets of two Deployments are rotated, and whoever uses the service notices nothing.

PostgreSQL, the API server with its controllers and (moto's) Secrets Manager are real; the pods' processes are this
test's.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import httpx
import psycopg
import pytest
from kubernetes import client as kubernetes_client
from temporalio.client import Client

from activities.credentials.credentials import Credentials
from activities.credentials.database_roles import DatabaseRoles
from activities.credentials.secret_values import KeptSecrets, SecretValues
from activities.credentials.secrets_manager import SecretsManager
from activities.kubernetes.api import connect
from activities.kubernetes.cluster import Kubernetes
from activities.kubernetes.deployments import Deployments
from activities.monitoring.health import HealthChecks
from sandbox.aws import REGION, Aws
from tests.activities.credentials.readers import LOGIN, SIGNING, Company, Roles, front, kept
from tests.servers import CreateDatabase
from tests.workflows.conftest import Working
from tests.workflows.steering import begin, told, until
from tests.workflows.worlds.breached import Breached
from tests.workflows.worlds.world import instead
from workflows.platform.approval import Decision
from workflows.security.security_incident import SecurityIncident, SecurityIncidentRequest


@pytest.fixture
def company(kube: httpx.Client, tensafe: str, create_database: CreateDatabase, aws: Aws) -> Iterator[Company]:
    manager = boto3.client(
        "secretsmanager", region_name=REGION, endpoint_url=aws.url, aws_access_key_id="x", aws_secret_access_key="y"
    )
    name = f"upstream-{uuid4().hex}"
    manager.create_secret(Name=name, SecretString="the first token")
    roles = Roles.create(create_database())
    made = Company(kube, tensafe, roles, manager, name)
    made.create()
    yield made
    roles.drop()


def on_real_servers(world: Breached, company: Company, api: kubernetes_client.ApiClient) -> list[Callable[..., Any]]:
    kept_secrets = KeptSecrets(kubernetes_client.CoreV1Api(api))
    credentials = Credentials(
        SecretValues(kept_secrets),
        DatabaseRoles(kept_secrets, company.roles.databases()),
        SecretsManager(lambda: company.aws),
        Deployments(kubernetes_client.AppsV1Api(api)),
    )
    cluster, health = Kubernetes(api), HealthChecks(httpx.Client())
    return instead(
        world.activities(),
        credentials.look,
        credentials.introduce,
        credentials.switch,
        credentials.still_used,
        credentials.retire,
        cluster.restart_rollout,
        cluster.await_rollout,
        health.steady,
    )


@pytest.mark.timeout(600)
async def test_nobody_notices_the_rotation(
    working: Working, client: Client, kubeconfig: Path, company: Company
) -> None:
    before = {**kept(company.kube, company.namespace, LOGIN), **kept(company.kube, company.namespace, SIGNING)}
    first_token = company.token()
    world = Breached(credentials=company.policies())
    with connect(kubeconfig) as api, front(lambda: company) as health, company.going_on():
        world.service = world.service.model_copy(update={"namespace": company.namespace, "health_url": health})
        async with working(on_real_servers(world, company, api)) as queue:
            handle = await begin(client, queue, SecurityIncidentRequest(rotate=["all"]), "security_incident")
            await until(handle, lambda status: any(q.id == "rotate-1" for q in status.questions))
            for who in ("ada", "bob"):
                word = Decision(who=who, role="security", question="rotate-1", choice="all", reason="they may be known")
                await handle.execute_update(SecurityIncident.decide, word)
            await until(
                handle,
                lambda status: any("is done with" in e.text or "rotate-2" in e.text for e in status.entries),
                within=240,
            )
            counted, failed = dict(company.requests), list(company.failures)
            timeline = await told(handle)
            await handle.terminate("it was about the rotation")
    assert "rotate-2" not in timeline, timeline
    assert failed == []
    assert min(counted.values()) > 20
    now = {**kept(company.kube, company.namespace, LOGIN), **kept(company.kube, company.namespace, SIGNING)}
    assert now.keys() == before.keys()
    assert all(now[key] != before[key] for key in before)
    assert company.token() != first_token
    assert not company.upstream_accepts(first_token)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(before["url"])
    with psycopg.connect(now["url"]) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (company.roles.names[1],)
    history = (await handle.fetch_history()).to_json()
    for value in (*now.values(), company.token()):
        assert value not in history
        assert value not in timeline
