"""Each kind of credential on its real server: each phase once, and no value anywhere else."""

from typing import Any

import httpx
import psycopg
import pytest
from kubernetes import client
from temporalio.testing import ActivityEnvironment

from activities.catalogue.security import CredentialPolicy
from activities.common.effects import is_effect
from activities.credentials.credential import Credential
from activities.credentials.credentials import Credentials, LookAtCredentials, StillUsed
from activities.credentials.database_roles import DatabaseRoles
from activities.credentials.secret_values import SecretValues
from activities.credentials.secrets_manager import SecretsManager
from activities.kubernetes.deployments import Deployments
from tests.activities.credentials.readers import SIGNING, Roles, deploy, keep
from tests.activities.credentials.rotating import SIGNS


@pytest.fixture
def credentials(cluster_api: client.ApiClient, values: SecretValues, on_roles: DatabaseRoles, manager: Any):
    apps = Deployments(client.AppsV1Api(cluster_api))
    return Credentials(values, on_roles, SecretsManager(lambda: manager), apps)


def test_who_can_not_be_restarted_is_told_before(
    credentials: Credentials, kube: httpx.Client, namespace: str, login: CredentialPolicy
):
    deploy(kube, namespace, "recreated", strategy={"type": "Recreate"})
    keep(kube, namespace, SIGNING, now="old")
    readers = SIGNS.model_copy(update={"deployments": ("recreated", "nowhere")})
    of = [
        Credential(namespace=namespace, name=name, policy=policy)
        for name, policy in {"signing": readers, "login": login}.items()
    ]
    seen = credentials.look(LookAtCredentials(credentials=of))
    assert "would be away meanwhile" in str(seen.items[0].problems)
    assert "nowhere" in str(seen.items[0].problems)
    assert (seen.items[1].problems, str(seen)) == ([], "can be rotated: login of 2")


def test_who_still_uses_the_old_login_is_named(
    credentials: Credentials, login: CredentialPolicy, roles: Roles, namespace: str
):
    assert all(map(is_effect, (credentials.introduce, credentials.switch, credentials.retire)))
    of = Credential(namespace=namespace, name="login", policy=login)
    request = StillUsed(credential=of, retired=roles.names[1], timeout="PT1S")
    with psycopg.connect(roles.login(roles.names[1]), application_name="forgotten"):
        assert "forgotten" in str(ActivityEnvironment().run(credentials.still_used, request))
    later = StillUsed(credential=of, retired=roles.names[1], timeout="PT60S")
    assert str(ActivityEnvironment().run(credentials.still_used, later)) == "nobody"


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "secret", "secret": "s"},
        {"kind": "secret", "secret": "s", "key": "k", "overlap_key": "k"},
        {"kind": "database-roles", "secret": "s", "key": "k", "database": "d", "roles": ["a"]},
        {"kind": "database-roles", "secret": "s", "key": "k", "roles": ["a", "b"]},
        {"kind": "secrets-manager", "secret": "s", "overlap_key": "x"},
    ],
)
def test_settings_that_can_not_be_meant(fields: dict[str, Any]):
    with pytest.raises(ValueError, match=r"overlap_key|key:|roles"):
        CredentialPolicy.model_validate(fields)
