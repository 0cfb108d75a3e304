"""Credentials that a run rotates."""

import json
from typing import Any
from uuid import uuid4

from activities.catalogue.security import CredentialPolicy
from activities.credentials.credential import RotateCredential
from tests.activities.credentials.readers import SIGNING
from tests.activities.kubernetes.on_cluster import an_effect

SIGNS = CredentialPolicy(kind="secret", secret=SIGNING, key="now", overlap_key="also")


def rotating(namespace: str, policy: CredentialPolicy, *, run: str = "p1", dry_run: bool = False, **more: Any):
    made = an_effect(dry_run=dry_run).model_copy(update={"workflow_id": run})
    fields = {"token": str(uuid4()), "effect": made, **more}
    return RotateCredential(namespace=namespace, name="it", policy=policy, **fields)


def stages(manager: Any, name: str) -> dict[str, str]:
    found = manager.describe_secret(SecretId=name)["VersionIdsToStages"]
    return {label: version for version, labels in found.items() for label in labels}


def current(manager: Any, name: str) -> dict[str, str]:
    return dict(json.loads(manager.get_secret_value(SecretId=name, VersionStage="AWSCURRENT")["SecretString"]))
