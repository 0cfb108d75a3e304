"""What keeps credentials: Kubernetes' Secrets, a database's roles, AWS Secrets Manager."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3
import httpx
import pytest
from kubernetes import client

from activities.catalogue.security import CredentialPolicy
from activities.credentials.database_roles import DatabaseRoles
from activities.credentials.secret_values import KeptSecrets, SecretValues
from sandbox.aws import REGION, Aws
from tests.activities.credentials.readers import LOGIN, Roles, keep
from tests.servers import CreateDatabase


@pytest.fixture
def namespace(kube: httpx.Client) -> Iterator[str]:
    name = f"credentials-{uuid4().hex[:8]}"
    kube.post("/api/v1/namespaces", json={"metadata": {"name": name}}).raise_for_status()
    yield name
    kube.delete(f"/api/v1/namespaces/{name}").raise_for_status()


@pytest.fixture
def values(cluster_api: client.ApiClient) -> SecretValues:
    return SecretValues(KeptSecrets(client.CoreV1Api(cluster_api)))


@pytest.fixture
def roles(create_database: CreateDatabase) -> Iterator[Roles]:
    made = Roles.create(create_database())
    yield made
    made.drop()


@pytest.fixture
def manager(aws: Aws) -> Any:
    return boto3.client(
        "secretsmanager", region_name=REGION, endpoint_url=aws.url, aws_access_key_id="x", aws_secret_access_key="y"
    )


@pytest.fixture
def login(kube: httpx.Client, namespace: str, roles: Roles) -> CredentialPolicy:
    keep(kube, namespace, LOGIN, url=roles.login(roles.names[0]))
    return CredentialPolicy(kind="database-roles", secret=LOGIN, key="url", database="tensafe", roles=roles.names)


@pytest.fixture
def on_roles(cluster_api: client.ApiClient, roles: Roles) -> DatabaseRoles:
    return DatabaseRoles(KeptSecrets(client.CoreV1Api(cluster_api)), roles.databases())


@pytest.fixture
def token(manager: Any) -> str:
    name = f"token-{uuid4().hex}"
    manager.create_secret(Name=name, SecretString=json.dumps({"token": "old", "host": "stays"}))
    return name
