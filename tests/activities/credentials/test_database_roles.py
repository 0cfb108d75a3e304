"""A database's roles take turns, and one that somebody uses is left alone."""

from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest

from activities.catalogue.security import CredentialPolicy
from activities.common.errors import Refused
from activities.credentials.credential import Credential
from activities.credentials.database_roles import DatabaseRoles
from activities.kubernetes.database_secrets import HOLD
from activities.kubernetes.run_marks import RunMark
from tests.activities.credentials.readers import LOGIN, Roles, keep, kept
from tests.activities.credentials.rotating import rotating


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


def test_a_spare_s_secret_has_the_same_login_where_it_can_and_never_hinders(
    on_roles: DatabaseRoles, login: CredentialPolicy, roles: Roles, kube: httpx.Client, namespace: str
):
    """After a restore the service is pointed at a spare: what can't be compared with its Secret is not known."""
    one = roles.names[0]
    mark = RunMark(run="a-restore", until=datetime.now(UTC) + timedelta(days=7)).model_dump_json()
    keep(kube, namespace, "free", url=roles.login(one))
    keep(kube, namespace, "held", url=roles.login(one))
    note = {"metadata": {"annotations": {HOLD: mark}}}
    merge = {"Content-Type": "application/merge-patch+json"}
    kube.patch(f"/api/v1/namespaces/{namespace}/secrets/held", json=note, headers=merge).raise_for_status()
    keep(kube, namespace, "others", url="postgresql://somebody:else@others/tensafe")
    spares = ["free", "held", "others", "missing"]
    told = on_roles.look(Credential(namespace=namespace, name="login", policy=login, spares=spares)).told
    assert [line.partition(" keeps")[0] for line in told] == ["secret/others", "secret/missing"]
    switched = on_roles.switch(rotating(namespace, login, spares=spares))
    assert switched.applied
    assert kept(kube, namespace, "free")["url"] == kept(kube, namespace, LOGIN)["url"]
    assert kept(kube, namespace, "held")["url"] == roles.login(one)
    assert kept(kube, namespace, "others")["url"] == "postgresql://somebody:else@others/tensafe"
    assert "secret/held keeps the old login: secret/held is held by a-restore" in switched.note
    assert "secret/others keeps the old login: secret/others names somebody" in switched.note
    assert "secret/missing keeps the old login: " in switched.note


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
