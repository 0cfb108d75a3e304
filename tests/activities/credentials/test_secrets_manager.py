"""Versions in AWS Secrets Manager become current once, also after a kill."""

import json
from typing import Any
from uuid import uuid4

import pytest

from activities.catalogue.security import CredentialPolicy
from activities.common.errors import Conflict, Misconfigured
from activities.credentials import secrets_manager
from activities.credentials.credential import Credential
from activities.credentials.secrets_manager import SecretsManager
from tests.activities.credentials.rotating import current, rotating, stages


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
