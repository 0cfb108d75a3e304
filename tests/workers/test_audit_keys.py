"""Settings give the signer, and every key that may have signed."""

import base64

import pytest
from pydantic import SecretStr

from tests.audit.stories import new_pem, new_signer
from workers.audit_keys import public_keys, signer
from workers.settings import AuditSettings, SettingsError


def test_settings_give_the_signer_and_every_key_that_may_have_signed() -> None:
    former = new_signer()
    audit = AuditSettings(private_key=SecretStr(new_pem()), public_keys=(base64.b64encode(former.public_key).decode(),))
    own = signer(audit)
    assert own is not None
    assert public_keys(audit) == [former.public_key, own.public_key]
    assert signer(AuditSettings()) is None
    assert not AuditSettings().enabled
    with pytest.raises(SettingsError, match="no Ed25519 private key"):
        signer(AuditSettings(private_key=SecretStr("nothing")))
    with pytest.raises(ValueError, match="name one of the two"):
        AuditSettings(private_key=SecretStr("x"), kms_key_id="alias/x")
