"""From the settings' [audit] section to the keys that sign the archive's chain."""

from typing import Any

from audit.signer import FileSigner, KmsSigner, Signer, SigningError, public_key_from
from libraries import aws_config, boto3
from workers.settings import AuditSettings, SettingsError


def signer(audit: AuditSettings) -> Signer | None:
    """Give what signs; None where no key is configured.

    Raises:
        SettingsError: the key is none.

    """
    if audit.kms_key_id is not None:
        return KmsSigner(client("kms", audit), audit.kms_key_id)
    if audit.private_key is None:
        return None
    try:
        return FileSigner(audit.private_key.get_secret_value())
    except SigningError as error:
        raise SettingsError(str(error)) from None


def public_keys(audit: AuditSettings) -> list[bytes]:
    """Give the keys that the chain may be signed with: the configured ones and our own.

    Raises:
        SettingsError: one of them is none, or KMS doesn't give its own.

    """
    keys = earlier_keys(audit)
    try:
        own = signer(audit)
        if own is not None:
            keys.append(own.public_key)
    except SigningError as error:
        raise SettingsError(f"audit: {error}") from None
    return keys


def earlier_keys(audit: AuditSettings) -> list[bytes]:
    """Give the configured ones.

    Raises:
        SettingsError: one of them is none.

    """
    try:
        return [public_key_from(text) for text in audit.public_keys]
    except SigningError as error:
        raise SettingsError(f"audit: {error}") from None


def client(service: str, audit: AuditSettings) -> Any:
    """Make a client of one of AWS' services, as the section says."""
    # The SDK's own retries are off: Temporal retries, visibly.
    config = aws_config.Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10)
    region = audit.region or boto3.Session().region_name or "us-east-1"
    return boto3.Session().client(service, region_name=region, endpoint_url=audit.endpoint_url, config=config)  # type: ignore[call-overload]
