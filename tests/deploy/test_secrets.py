"""deploy/secrets.sh: everything made, nothing weak, nothing overwritten, nothing open to others."""

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.deploy.docker_compose import make_secrets
from workers.settings import Settings
from workflows.platform.run_status import Note
from workflows.platform.signing import objection, sign


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder" / "secrets"
    answer = make_secrets(folder)
    assert answer.returncode == 0, answer.stderr
    return folder


def test_nobody_else_gets_in(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    # Containers run as other users and are shown these files as they are; the folder keeps the machine's others out.
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes.pop("gateway_private_key.pem") == 0o600
    assert set(modes.values()) == {0o444}


def test_every_password_is_long_and_its_own(folder: Path) -> None:
    values = [
        path.read_text() for path in folder.iterdir() if path.name.endswith(("_password", "_secret", "webhook_token"))
    ]
    values = [value for value in values if value]

    assert len(values) == len(set(values)) == 10
    # As long as a cookie's key may be, for the sign-in.
    assert sorted(len(value) for value in values) == [32, *[64] * 9]


def test_a_second_run_changes_nothing(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    assert make_secrets(folder).returncode == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_is_missing_is_made_and_urls_follow(folder: Path) -> None:
    (folder / "records_db_password").unlink()

    assert make_secrets(folder).returncode == 0
    password = (folder / "records_db_password").read_text()
    assert (folder / "records_url").read_text() == f"postgresql://runbooks:{password}@records-db:5432/runbooks\n"


def test_the_kubeconfig_is_taken_over(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("apiVersion: v1\nkind: Config\n")

    assert "kubernetes.invalid" in (folder / "kubeconfig").read_text()
    assert make_secrets(folder, "--kubeconfig", str(mine)).returncode == 0
    assert (folder / "kubeconfig").read_text() == mine.read_text()
    assert make_secrets(folder).returncode == 0
    assert (folder / "kubeconfig").read_text() == mine.read_text()


def test_what_others_give_is_empty_until_it_is_taken_over(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("xoxb-1\n")
    names = ("slack_token", "slack_app_token", "oidc_client_secret")

    assert [(folder / name).read_text() for name in names] == ["", "", ""]
    assert make_secrets(folder, "--slack-token", str(mine), "--oidc-client-secret", str(mine)).returncode == 0
    assert make_secrets(folder).returncode == 0
    # Without the line break: not everything that reads a secret takes it away.
    assert [(folder / name).read_text() for name in names] == ["xoxb-1", "", "xoxb-1"]


@pytest.mark.parametrize(
    "arguments",
    [("--kubeconfig",), ("--slack-token", "/no/such/file"), ("--kubeconfig", "/no/such/file"), ("--force",)],
)
def test_it_says_what_is_wrong_and_makes_nothing(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    answer = make_secrets(tmp_path / "secrets", *arguments)

    assert answer.returncode == 1
    assert arguments[-1] in answer.stderr
    assert not (tmp_path / "secrets").exists()


def test_a_new_gateway_key_is_trusted_beside_the_old_one(folder: Path) -> None:
    before = (folder / "approvals.env").read_text().partition("=")[2]
    (folder / "gateway_private_key.pem").rename(folder / "gateway_private_key.old.pem")

    assert make_secrets(folder).returncode == 0
    new, old, *others = json.loads((folder / "approvals.env").read_text().partition("=")[2])
    assert [old, *others] == json.loads(before)
    assert new != old


def test_a_gateway_key_of_another_kind_is_refused(folder: Path) -> None:
    (folder / "gateway_private_key.pem").write_text("nothing")
    answer = make_secrets(folder)

    assert answer.returncode == 1
    assert "no Ed25519 key" in answer.stderr


@pytest.mark.parametrize("gateway", ["gateway", "web", "slack"])
def test_workers_accept_what_a_gateways_key_signs(folder: Path, monkeypatch: pytest.MonkeyPatch, gateway: str) -> None:
    variable, _, value = (folder / "approvals.env").read_text().strip().partition("=")
    monkeypatch.setenv(variable, value)
    key = load_pem_private_key((folder / f"{gateway}_private_key.pem").read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    now = datetime.now(UTC)
    word = Note(who="ada@example.org", role="commander", issued_at=now, text="All is well")
    word.signature = sign(word, key, "wf", "run")

    why_not = objection(
        word,
        workflow_id="wf",
        run_id="run",
        public_keys=Settings().approvals.public_keys,
        now=now,
        valid_for=timedelta(minutes=1),
    )
    assert why_not is None
