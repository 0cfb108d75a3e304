"""Secrets handed over in AWS Secrets Manager, for customers who read them there."""

import json
from typing import Any

from activities.common.aws import failures
from activities.handovers.handovers import Contents, NewHandover
from activities.records.ledger import Rows
from libraries import aws_errors

_SYSTEM = "AWS Secrets Manager"


class HandoverSecretsManager:
    """One secret a handover, named by its ID: creating it is what happens once."""

    def __init__(self, client: Any, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def keep(self, rows: Rows, handover: NewHandover, contents: Contents) -> Contents:
        """Create the secret; one that an earlier attempt made counts, for its hash may not have been written yet."""
        del rows
        if handover.effect.dry_run:
            return contents
        name = self._prefix + handover.handover_id
        with failures(_SYSTEM):
            try:
                self._client.create_secret(
                    Name=name,
                    SecretString=json.dumps(contents),
                    Tags=[{"Key": "tenant", "Value": handover.tenant_id}],
                )
            except aws_errors.ClientError as error:
                if error.response["Error"]["Code"] != "ResourceExistsException":
                    raise
                return self._read(name)
        return contents

    def where(self, handover_id: str) -> str:
        """Name the secret."""
        return f"AWS Secrets Manager, {self._prefix}{handover_id}"

    def peek(self, rows: Rows, handover_id: str) -> Contents | None:
        """Read it; None where the customer has deleted it."""
        del rows
        with failures(_SYSTEM):
            try:
                return self._read(self._prefix + handover_id)
            except aws_errors.ClientError as error:
                if error.response["Error"]["Code"] not in {"ResourceNotFoundException", "InvalidRequestException"}:
                    raise
                return None

    def _read(self, name: str) -> Contents:
        contents: Contents = json.loads(self._client.get_secret_value(SecretId=name)["SecretString"])
        return contents
