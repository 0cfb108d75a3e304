"""TLS Secrets on a real API server: each change once, and what a person has put in meanwhile stays."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest
from kubernetes import client

from activities.certificates.pending import PendingSecrets
from activities.certificates.secrets import (
    HoldForRenewal,
    InstallCertificate,
    LetRenewalGo,
    SecretName,
    SecretsRequest,
    TlsSecrets,
)
from activities.common.effects import Effect
from activities.common.errors import NotFound, Refused
from tests.activities.certificates.issuing import DAY, Issuer, TlsSecretsOf
from tests.activities.kubernetes.on_cluster import an_effect

HOST = "api.tensafe.test"
UNTIL = datetime.now(UTC) + timedelta(hours=3)


def _of(run: str) -> Effect:
    return an_effect().model_copy(update={"workflow_id": run})


class Kept:
    """A Secret with an old certificate, beside which a new one waits."""

    def __init__(self, api: client.ApiClient, kube: httpx.Client, namespace: str) -> None:
        self.secrets = TlsSecrets(api)
        self.pending = PendingSecrets(client.CoreV1Api(api))
        self.tls = TlsSecretsOf(kube, namespace)
        self.issuer = Issuer()
        self.where: dict[str, Any] = {"namespace": namespace, "name": "web"}
        self.tls.put("web", *self.issuer.issue(HOST))
        self.old = self.tls.certificate("web")

    def wait(self, effect: Effect, left: timedelta = 90 * DAY) -> str:
        """Put a new certificate beside it; gives its fingerprint."""
        chain, key = self.issuer.issue(HOST, left=left)
        waits = self.pending.begin(self.tls.namespace, "web", effect, key)
        waits = self.pending.ordered(self.tls.namespace, "web", waits, "https://ca.test/1")
        self.pending.issued(self.tls.namespace, "web", waits, chain)
        return self.tls.certificate("web-renewal").fingerprint

    def install(self, new: str, effect: Effect) -> InstallCertificate:
        return InstallCertificate(**self.where, fingerprint=new, instead_of=self.old.fingerprint, effect=effect)


@pytest.fixture
def kept(cluster_api: client.ApiClient, kube: httpx.Client, tensafe: str) -> Kept:
    return Kept(cluster_api, kube, tensafe)


def test_all_tls_secrets_are_read_and_no_other(kept: Kept) -> None:
    kept.tls.put("managed", *kept.issuer.issue("m.test"), **cast("Any", {"cert-manager.io/certificate-name": "m"}))
    kept.tls.put("broken", b"not a certificate", b"nor a key")
    found = {one.name: one for one in kept.secrets.list(SecretsRequest(namespaces=[kept.tls.namespace])).items}
    assert set(found) == {"web", "managed", "broken"}
    assert found["web"].certificate == kept.old
    assert found["managed"].managed_by == "m"
    assert (found["broken"].certificate, found["broken"].problem) == (None, "its tls.crt can't be read")


def test_key_and_certificate_go_in_together_and_once(kept: Kept) -> None:
    effect = an_effect()
    new = kept.wait(effect)
    done = kept.secrets.install(kept.install(new, effect))
    assert done.applied
    assert kept.tls.certificate("web").fingerprint == new
    assert kept.tls.key_fits("web")
    assert "PRIVATE" not in done.model_dump_json()
    again = kept.secrets.install(kept.install(new, effect))
    assert (again.applied, again.note) == (False, "done by an earlier attempt")


def test_a_persons_certificate_stays(kept: Kept) -> None:
    effect = an_effect()
    new = kept.wait(effect)
    kept.tls.put("web", *kept.issuer.issue(HOST, left=300 * DAY))
    theirs = kept.tls.certificate("web")
    with pytest.raises(Refused, match=r"has another certificate by now \("):
        kept.secrets.install(kept.install(new, effect))
    assert kept.tls.certificate("web") == theirs


def test_a_plan_installs_nothing(kept: Kept) -> None:
    effect = an_effect(dry_run=True)
    new = kept.wait(effect)
    assert kept.secrets.install(kept.install(new, effect)).note.startswith("plan only")
    assert kept.tls.certificate("web") == kept.old


def test_of_two_runs_one_is_refused(kept: Kept) -> None:
    kept.secrets.hold(HoldForRenewal(**kept.where, until=UNTIL, effect=_of("one")))
    with pytest.raises(Refused, match="secret/web is being renewed by one until"):
        kept.secrets.hold(HoldForRenewal(**kept.where, until=UNTIL, effect=_of("two")))
    with pytest.raises(Refused, match="is being renewed by one"):
        kept.secrets.install(kept.install(kept.wait(_of("two")), _of("two")))
    assert kept.secrets.read(SecretName(**kept.where)).held_by == "one"
    kept.secrets.release(LetRenewalGo(**kept.where, effect=_of("two")))
    assert kept.secrets.read(SecretName(**kept.where)).held_by == "one"
    kept.secrets.release(LetRenewalGo(**kept.where, effect=_of("one")))
    assert kept.secrets.read(SecretName(**kept.where)).held_by is None


def test_the_mark_of_a_run_that_was_terminated_expires(kept: Kept) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    kept.secrets.hold(HoldForRenewal(**kept.where, until=long_ago, effect=_of("terminated")))
    assert kept.secrets.hold(HoldForRenewal(**kept.where, until=UNTIL, effect=_of("next"))).applied


def test_letting_go_forgets_a_key_of_its_own_and_keeps_when_to_ask_again(kept: Kept) -> None:
    kept.wait(_of("one"))
    kept.secrets.hold(HoldForRenewal(**kept.where, until=UNTIL, effect=_of("one")))
    kept.secrets.release(LetRenewalGo(**kept.where, effect=_of("two")))
    assert kept.tls.there("web-renewal")
    kept.secrets.release(LetRenewalGo(**kept.where, not_before=UNTIL, effect=_of("one")))
    assert not kept.tls.there("web-renewal")
    assert kept.secrets.read(SecretName(**kept.where)).not_before == UNTIL
    kept.secrets.hold(HoldForRenewal(**kept.where, until=UNTIL, effect=_of("one")))
    kept.secrets.release(LetRenewalGo(**kept.where, effect=_of("one")))
    assert kept.secrets.read(SecretName(**kept.where)).not_before is None


def test_what_waits_must_be_what_was_issued(kept: Kept) -> None:
    effect = an_effect()
    with pytest.raises(Refused, match="no new certificate waits"):
        kept.secrets.install(kept.install("0" * 64, effect))
    kept.wait(effect)
    with pytest.raises(Refused, match="another certificate than the one that was issued"):
        kept.secrets.install(kept.install("0" * 64, effect))


def test_a_secret_that_is_gone(kept: Kept) -> None:
    with pytest.raises(NotFound):
        kept.secrets.read(SecretName(namespace=kept.tls.namespace, name="gone"))
