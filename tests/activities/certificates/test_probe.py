"""What a handshake tells: on real TLS servers, good ones and broken ones."""

import socket
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.testing import ActivityEnvironment

from activities.catalogue.certificates import ServedName
from activities.certificates.facts import chain_of, facts
from activities.certificates.probe import AwaitServed, ProbeRequest, Served, TlsProbe
from sandbox.ports import free_port
from tests.activities.certificates.issuing import DAY, Issuer
from tests.activities.certificates.tls_servers import tls_server

HOST = "api.tensafe.test"


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def probe(issuer: Issuer, folder: Path, *addresses: str, host: str = HOST) -> Served:
    trusting = TlsProbe(issuer.write_root(folder / "root.pem"))
    return trusting.probe(ProbeRequest(served=ServedName(host=host, addresses=addresses)))


def test_every_address_is_looked_at(issuer: Issuer, tmp_path: Path) -> None:
    old, new = (issuer.issue(HOST, "*.tensafe.test", left=left * DAY) for left in (3, 80))
    with tls_server(tmp_path, *old) as first, tls_server(tmp_path, *new, "127.0.0.2") as second:
        seen = probe(issuer, tmp_path, first, second)
    certificates = [look.certificate for look in seen.looks]
    assert certificates == [facts(chain_of(chain)[0]) for chain, _ in (old, new)]
    assert [look.distrust for look in seen.looks] == ["", ""]
    assert certificates[1] is not None
    assert [look.address for look in seen.others(certificates[1].fingerprint)] == [first]
    assert certificates[0] is not None
    assert certificates[0].names == [HOST, "*.tensafe.test"]
    assert 2 * DAY < certificates[0].left(datetime.now(UTC)) < 3 * DAY


def test_what_clients_refuse_is_seen_all_the_same(issuer: Issuer, tmp_path: Path) -> None:
    with tls_server(tmp_path, *issuer.issue(HOST, left=-DAY)) as at:
        (look,) = probe(issuer, tmp_path, at).looks
    assert (look.distrust, look.certificate is not None) == ("it has expired", True)
    with tls_server(tmp_path, *issuer.issue("other.test")) as at:
        (look,) = probe(issuer, tmp_path, at).looks
    assert look.distrust == f"it is not for {HOST}"
    with tls_server(tmp_path, *Issuer().issue(HOST)) as at:
        (look,) = probe(issuer, tmp_path, at).looks
    assert look.distrust in {"its issuer is not known", "its chain can't be verified"}


def test_where_revocation_is_told(issuer: Issuer, tmp_path: Path) -> None:
    with tls_server(tmp_path, *issuer.issue(HOST, revocation=True)) as at:
        (look,) = probe(issuer, tmp_path, at).looks
    assert look.certificate is not None
    assert look.certificate.ocsp == ["http://ocsp.test"]
    assert look.certificate.crl == ["http://crl.test/1.crl"]
    assert (look.certificate.must_staple, look.staple) == (True, "none")


def test_what_can_not_be_looked_at_says_why(issuer: Issuer, tmp_path: Path) -> None:
    unresolved = probe(issuer, tmp_path, host="nowhere.invalid")
    assert unresolved.looks == []
    assert unresolved.problems[0].startswith("could not look, the name does not resolve (")
    nobody = f"127.0.0.1:{free_port()}"
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        dumb = f"127.0.0.1:{silent.getsockname()[1]}"
        seen = probe(issuer, tmp_path, nobody, dumb)
    assert seen.problems == [
        f"{nobody}: could not look, Connection refused",
        f"{dumb}: could not look, no handshake within 5 s",
    ]


def test_plain_text_is_no_certificate(issuer: Issuer, tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def answer() -> None:
            accepted, _ = listener.accept()
            with accepted:
                accepted.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                accepted.recv(1000)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        (look,) = probe(issuer, tmp_path, f"127.0.0.1:{listener.getsockname()[1]}").looks
        thread.join(5)
    assert look.certificate is None
    assert look.problem.startswith("TLS: ")


def test_it_waits_until_every_address_serves_it(issuer: Issuer, tmp_path: Path) -> None:
    chain, key = issuer.issue(HOST)
    wanted = facts(chain_of(chain)[0]).fingerprint
    looker = TlsProbe(issuer.write_root(tmp_path / "root.pem"))
    with tls_server(tmp_path, chain, key) as at:
        served = ServedName(host=HOST, addresses=(at,))
        request = AwaitServed(served=served, fingerprint=wanted, within=timedelta(minutes=1))
        assert ActivityEnvironment().run(looker.await_served, request).others(wanted) == []
        late = AwaitServed(served=served, fingerprint="0" * 64, within=timedelta(seconds=0.1))
        assert len(ActivityEnvironment().run(looker.await_served, late).others("0" * 64)) == 1


@pytest.mark.parametrize("text", ["api.tensafe.test", "10.0.0.1:https", "10.0.0", ""])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected IP"):
        ServedName(host=HOST, addresses=(text,))


def test_a_wildcard_stands_for_one_label(issuer: Issuer) -> None:
    certificate = facts(chain_of(issuer.issue("*.tensafe.test")[0])[0])
    assert certificate.covers("api.tensafe.test")
    assert certificate.covers("API.tensafe.test.")
    assert not certificate.covers("a.b.tensafe.test")
    assert not certificate.covers("tensafe.test")
