"""Each kind of credential on its real server: each phase once, and no value anywhere else."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3
import httpx
import psycopg
import pytest
from kubernetes import client
from temporalio.testing import ActivityEnvironment

from activities.catalogue.security import CredentialPolicy
from activities.common.effects import is_effect
from activities.common.errors import Conflict, Misconfigured, Refused
from activities.credentials import secrets_manager
from activities.credentials.credential import Credential, RotateCredential
from activities.credentials.credentials import Credentials, LookAtCredentials, StillUsed
from activities.credentials.database_roles import DatabaseRoles
from activities.credentials.secret_values import KeptSecrets, SecretValues
from activities.credentials.secrets_manager import SecretsManager
from activities.kubernetes.deployments import Deployments
from sandbox.aws import REGION, Aws
from tests.activities.credentials.readers import LOGIN, SIGNING, Roles, deploy, keep, kept
from tests.activities.kubernetes.on_cluster import an_effect
from tests.servers import CreateDatabase

SIGNS = CredentialPolicy(kind="secret", secret=SIGNING, key="now", overlap_key="also")


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


def rotating(namespace: str, policy: CredentialPolicy, *, run: str = "p1", dry_run: bool = False, **more: Any):
    made = an_effect(dry_run=dry_run).model_copy(update={"workflow_id": run})
    fields = {"token": str(uuid4()), "effect": made, **more}
    return RotateCredential(namespace=namespace, name="it", policy=policy, **fields)


# -- Kubernetes Secrets --------------------------------------------------------------------------------------


def test_a_value_is_accepted_before_it_is_used(values: SecretValues, kube: httpx.Client, namespace: str):
    keep(kube, namespace, SIGNING, now="old", other="stays")
    values.introduce(rotating(namespace, SIGNS))
    introduced = kept(kube, namespace, SIGNING)
    assert introduced["now"] == "old"
    request = rotating(namespace, SIGNS)
    first = values.switch(request)
    switched = kept(kube, namespace, SIGNING)
    assert switched == {"now": introduced["also"], "also": "old", "other": "stays"}
    again = values.switch(request)  # the answer to the first was lost
    assert (first.applied, again.applied) == (True, False)
    assert kept(kube, namespace, SIGNING) == switched
    values.retire(rotating(namespace, SIGNS))
    assert kept(kube, namespace, SIGNING) == {"now": introduced["also"], "other": "stays"}


def test_two_runs_do_not_rotate_one_value(values: SecretValues, kube: httpx.Client, namespace: str):
    keep(kube, namespace, SIGNING, now="old")
    values.introduce(rotating(namespace, SIGNS))
    with pytest.raises(Refused, match="held by p1"):
        values.introduce(rotating(namespace, SIGNS, run="another"))
    values.switch(rotating(namespace, SIGNS))
    values.retire(rotating(namespace, SIGNS))
    values.introduce(rotating(namespace, SIGNS, run="another"))
    with pytest.raises(Refused, match="held by another"):
        values.switch(rotating(namespace, SIGNS))


def test_a_new_value_that_a_person_removed_is_not_switched_to(values: SecretValues, kube: httpx.Client, namespace: str):
    keep(kube, namespace, SIGNING, now="old")
    values.introduce(rotating(namespace, SIGNS))
    body = json.dumps({"data": {"also": None}})
    kind = {"Content-Type": "application/merge-patch+json"}
    kube.patch(f"/api/v1/namespaces/{namespace}/secrets/{SIGNING}", content=body, headers=kind).raise_for_status()
    with pytest.raises(Refused, match="not there any more"):
        values.switch(rotating(namespace, SIGNS))
    assert kept(kube, namespace, SIGNING) == {"now": "old"}


def test_a_plan_of_a_value_changes_nothing(values: SecretValues, kube: httpx.Client, namespace: str):
    keep(kube, namespace, SIGNING, now="old")
    for phase in (values.introduce, values.switch, values.retire):
        assert not phase(rotating(namespace, SIGNS, dry_run=True)).applied
    assert kept(kube, namespace, SIGNING) == {"now": "old"}


# -- a database's roles --------------------------------------------------------------------------------------


@pytest.fixture
def login(kube: httpx.Client, namespace: str, roles: Roles) -> CredentialPolicy:
    keep(kube, namespace, LOGIN, url=roles.login(roles.names[0]))
    return CredentialPolicy(kind="database-roles", secret=LOGIN, key="url", database="tensafe", roles=roles.names)


@pytest.fixture
def on_roles(cluster_api: client.ApiClient, roles: Roles) -> DatabaseRoles:
    return DatabaseRoles(KeptSecrets(client.CoreV1Api(cluster_api)), roles.databases())


def test_roles_take_turns(
    on_roles: DatabaseRoles, login: CredentialPolicy, roles: Roles, kube: httpx.Client, namespace: str
):
    one, other = roles.names
    keep(kube, namespace, "db-primary", url=roles.login(one))
    request = rotating(namespace, login, copies=["db-primary"])
    switched = on_roles.switch(request)
    assert (switched.before, switched.after, switched.retired, switched.applied) == (one, other, one, True)
    new = kept(kube, namespace, LOGIN)["url"]
    assert kept(kube, namespace, "db-primary")["url"] == new  # else 7.1 would not know where the service is
    with psycopg.connect(new) as connection, psycopg.connect(roles.login(one)) as old:
        connection.execute("SELECT * FROM things")
        assert on_roles.switch(request).applied is False
        assert kept(kube, namespace, LOGIN)["url"] == new
        old.execute("SELECT 1")  # the old one goes on until it is retired
        credential = Credential.model_validate(request.model_dump(include=set(Credential.model_fields)))
        assert on_roles.sessions(credential, one) != []
        retired = on_roles.retire(rotating(namespace, login, retired=one))
        assert "1 session of it ended" in retired.after
        with pytest.raises(psycopg.OperationalError):
            old.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(roles.login(one))
    back = on_roles.switch(rotating(namespace, login, copies=["db-primary"]))
    assert back.after == one
    psycopg.connect(kept(kube, namespace, LOGIN)["url"]).close()


def test_a_role_that_somebody_uses_is_left_alone(
    on_roles: DatabaseRoles, login: CredentialPolicy, roles: Roles, kube: httpx.Client, namespace: str
):
    before = kept(kube, namespace, LOGIN)
    with psycopg.connect(roles.login(roles.names[1]), application_name="a job"):
        with pytest.raises(Refused, match="1 × a job"):
            on_roles.switch(rotating(namespace, login))
        seen = on_roles.look(Credential(namespace=namespace, name="login", policy=login))
        assert "in use" in str(seen.problems)
    assert kept(kube, namespace, LOGIN) == before


def test_a_membership_counts_once_whoever_granted_it_and_only_with_its_rights(
    on_roles: DatabaseRoles, login: CredentialPolicy, roles: Roles, namespace: str
):
    at = Credential(namespace=namespace, name="login", policy=login)
    admin, (active, resting) = f"{roles.group}_admin", roles.names
    with psycopg.connect(roles.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {admin}; GRANT {roles.group} TO {admin} WITH ADMIN OPTION")
        try:
            connection.execute(f"GRANT {roles.group} TO {active} GRANTED BY {admin}")
            assert on_roles.look(at).problems == []
            connection.execute(f"GRANT {roles.group} TO {resting} WITH INHERIT FALSE")
            assert "members of other roles" in str(on_roles.look(at).problems)
        finally:
            connection.execute(f"REVOKE {roles.group} FROM {active} GRANTED BY {admin}; DROP ROLE {admin}")


def test_roles_with_other_rights_do_not_take_turns(
    on_roles: DatabaseRoles, login: CredentialPolicy, roles: Roles, namespace: str
):
    with psycopg.connect(roles.url, autocommit=True) as connection:
        connection.execute(f"REVOKE {roles.group} FROM {roles.names[1]}")
        connection.execute(f"GRANT SELECT ON things TO {roles.names[0]}")
    seen = on_roles.look(Credential(namespace=namespace, name="login", policy=login))
    assert "members of other roles" in str(seen.problems)
    assert f"{roles.names[0]} has 1 right or object of its own" in str(seen.problems)
    with pytest.raises(Refused, match="members of other roles"):
        on_roles.switch(rotating(namespace, login))
    with psycopg.connect(roles.url, autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {roles.names[0]}")


def test_an_old_role_that_is_used_again_is_not_retired(
    on_roles: DatabaseRoles, login: CredentialPolicy, roles: Roles, namespace: str
):
    with pytest.raises(Refused, match=r"names .* again"):
        on_roles.retire(rotating(namespace, login, retired=roles.names[0]))
    psycopg.connect(roles.login(roles.names[0])).close()


def test_a_plan_of_roles_changes_nothing(
    on_roles: DatabaseRoles, login: CredentialPolicy, roles: Roles, kube: httpx.Client, namespace: str
):
    before = kept(kube, namespace, LOGIN)
    assert not on_roles.switch(rotating(namespace, login, dry_run=True)).applied
    assert not on_roles.retire(rotating(namespace, login, dry_run=True, retired=roles.names[0])).applied
    assert kept(kube, namespace, LOGIN) == before
    for name in roles.names:
        psycopg.connect(roles.login(name)).close()


# -- AWS Secrets Manager -------------------------------------------------------------------------------------


@pytest.fixture
def token(manager: Any) -> str:
    name = f"token-{uuid4().hex}"
    manager.create_secret(Name=name, SecretString=json.dumps({"token": "old", "host": "stays"}))
    return name


def stages(manager: Any, name: str) -> dict[str, str]:
    found = manager.describe_secret(SecretId=name)["VersionIdsToStages"]
    return {label: version for version, labels in found.items() for label in labels}


def current(manager: Any, name: str) -> dict[str, str]:
    return dict(json.loads(manager.get_secret_value(SecretId=name, VersionStage="AWSCURRENT")["SecretString"]))


def test_a_version_of_the_token_s_own_becomes_current_once(manager: Any, token: str):
    of = SecretsManager(lambda: manager)
    policy = CredentialPolicy(kind="secrets-manager", secret=token, key="token")
    old = stages(manager, token)["AWSCURRENT"]
    request = rotating("", policy)
    first = of.switch(request)
    new = current(manager, token)
    assert new["host"] == "stays"
    assert new["token"] != "old"
    again = of.switch(request)
    assert (first.applied, again.applied, again.retired) == (True, False, old)
    assert current(manager, token) == new
    assert stages(manager, token) == {"AWSCURRENT": request.token, "AWSPREVIOUS": old}
    assert of.retire(rotating("", policy, retired=old)).applied
    assert stages(manager, token) == {"AWSCURRENT": request.token}
    assert not of.retire(rotating("", policy, retired=old)).applied


def test_what_a_killed_attempt_has_put_is_gone_on_with(manager: Any, token: str):
    policy = CredentialPolicy(kind="secrets-manager", secret=token, key="token")
    request = rotating("", policy)
    text = json.dumps({"token": "of the first attempt", "host": "stays"})
    manager.put_secret_value(
        SecretId=token, ClientRequestToken=request.token, SecretString=text, VersionStages=["AWSPENDING"]
    )
    SecretsManager(lambda: manager).switch(request)
    assert current(manager, token)["token"] == "of the first attempt"
    assert "AWSPENDING" not in stages(manager, token)


def test_what_another_rotation_has_left_pending_is_cleared_when_it_is_old(
    manager: Any, token: str, monkeypatch: pytest.MonkeyPatch
):
    policy = CredentialPolicy(kind="secrets-manager", secret=token, key="token")
    left = str(uuid4())
    manager.put_secret_value(SecretId=token, ClientRequestToken=left, SecretString="{}", VersionStages=["AWSPENDING"])
    of, request = SecretsManager(lambda: manager), rotating("", policy)
    assert left in str(of.look(Credential(namespace="", name="it", policy=policy)).told)
    with pytest.raises(Conflict, match="may be under way"):
        of.switch(request)
    monkeypatch.setattr(secrets_manager, "_LEFT_AFTER", -secrets_manager._LEFT_AFTER)
    assert left in of.switch(request).note
    assert stages(manager, token)["AWSCURRENT"] == request.token
    assert left not in stages(manager, token).values()


def test_a_secret_that_is_not_what_settings_say_is_left_alone(manager: Any, token: str):
    policy = CredentialPolicy(kind="secrets-manager", secret=token, key="password")
    seen = SecretsManager(lambda: manager).look(Credential(namespace="", name="it", policy=policy))
    assert "no text under 'password'" in str(seen.problems)
    with pytest.raises(Misconfigured):
        SecretsManager(lambda: manager).switch(rotating("", policy))
    assert "AWSPENDING" not in stages(manager, token)


def test_a_plan_of_a_version_changes_nothing(manager: Any, token: str):
    policy = CredentialPolicy(kind="secrets-manager", secret=token)
    before = stages(manager, token)
    assert not SecretsManager(lambda: manager).switch(rotating("", policy, dry_run=True)).applied
    assert stages(manager, token) == before


# -- all of them ---------------------------------------------------------------------------------------------


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
