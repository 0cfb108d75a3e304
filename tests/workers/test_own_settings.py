"""A process reads the secrets that it uses, and starts where those of others are missing."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from starters.steering import configuration
from tests.workers.wired import KUBECONFIG
from workers import own_settings
from workers.own_settings import SECRETS_OF_ROLE
from workers.queues import ROLES, Role
from workers.sections import FileSecret
from workers.settings import AuditSettings, KubernetesSettings, Settings, SettingsError, load
from workers.wiring import wire

SECRETS = {
    "records": 'url = "{}"',
    "ci": 'backend = "github"\ntoken = "{}"',
    "slack": 'backend = "slack"\ntoken = "{}"',
    "paging": 'backend = "pagerduty"\nrouting_key = "{}"',
    "statuspage": 'backend = "statuspage"\npage_id = "p"\napi_key = "{}"',
    "mail": 'backend = "smtp"\nsender = "a@example.org"\nhost = "mx"\nuser = "u"\npassword = "{}"',
    "handover": 'secret = "{}"',
    "acme": 'eab_key_id = "k"\neab_key = "{}"',
    "audit": 'private_key = "{}"',
    "webhook": 'bearer_tokens = ["{}"]\nsources.grafana = {{ kind = "grafana", secrets = ["{}"] }}',
    "gateway": 'private_key = "{}"',
    "web": 'secret = "{}"',
    "databases": '[databases.main.servers.primary]\nurl = "{}"',
}
"""Of each section: everything in it that is secret."""
KEY = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
URL = "postgresql://nobody@127.0.0.1:1/nothing"


def test_every_section_with_a_secret_is_tried_here() -> None:
    def secret(annotation: object) -> bool:
        if annotation is SecretStr:
            return True
        fields = getattr(annotation, "model_fields", {}).values()
        return any(map(secret, get_args(annotation))) or any(secret(field.annotation) for field in fields)

    sections = {name for name, field in Settings.model_fields.items() if secret(field.annotation)}
    # Its keys belong to every process.
    assert sections - {"temporal"} == set(SECRETS)
    assert set(SECRETS_OF_ROLE) == set(ROLES)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings file that all processes share; no secret that it names is there yet."""
    (tmp_path / "kubeconfig").write_text(json.dumps(KUBECONFIG), encoding="utf-8")
    (tmp_path / "routes.toml").write_text(
        '[[route]]\nmatch = { a = "b" }\nprocedure = "p1-incident"\n', encoding="utf-8"
    )
    written = [f"[kubernetes]\nkubeconfig = '{tmp_path}/kubeconfig'"]
    for section, text in SECRETS.items():
        head = "" if text.startswith("[") else f"[{section}]\n"
        written.append(head + text.replace("{}", f"file:{tmp_path}/{section}").replace("{{", "{").replace("}}", "}"))
    commands = "\n".join(f'{name} = ["true"]' for name in ("start", "fence", "rejoin", "discard"))
    written.append(f"[databases.main.commands]\n{commands}\n[databases.main.barman]\nserver = 'main'")
    file = tmp_path / "runbooks.toml"
    file.write_text("\n".join(written), encoding="utf-8")
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(file))
    monkeypatch.setenv("RUNBOOKS_TEMPORAL__ROLES", json.dumps([role for role in ROLES if role != "orchestration"]))
    return tmp_path


def give(folder: Path, sections: Collection[str]) -> None:
    for section in sections:
        (folder / section).write_text({"audit": KEY, "databases": URL, "records": URL}.get(section, "x" * 40))


@pytest.mark.parametrize("role", ROLES)
def test_a_worker_of_a_role_needs_its_own_secrets_and_no_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch, role: Role
) -> None:
    monkeypatch.setenv("RUNBOOKS_WORKER__ROLES", json.dumps([role]))
    its = SECRETS_OF_ROLE[role] & set(SECRETS)
    give(folder, its)
    with wire(own_settings.load()) as wired:
        wired.warm_up()
    for section in its:
        (folder / section).unlink()
        with pytest.raises(SettingsError, match=rf"{section}\..*: cannot read the secret's file") as refused:
            own_settings.load()
        assert str(folder / section) not in str(refused.value).partition(": ")[2]
        give(folder, [section])


def test_a_worker_of_all_roles_needs_all_that_workers_have(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNBOOKS_TEMPORAL__ROLES")
    theirs = set[str]().union(*SECRETS_OF_ROLE.values()) & set(SECRETS)
    assert set(SECRETS) - theirs == {"webhook", "gateway", "web"}
    with pytest.raises(SettingsError) as refused:
        own_settings.load()
    missing = [line.partition(": ")[2].partition(".")[0] for line in str(refused.value).splitlines()]
    assert set(missing) == theirs
    give(folder, theirs)
    assert own_settings.load().slack.token is not None


class _Watched:
    """Settings that remember which of their sections were looked at."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self.seen = settings, set[str]()

    def __getattr__(self, name: str) -> Any:
        self.seen.add(name)
        return getattr(self._settings, name)


@pytest.mark.parametrize("role", ROLES)
def test_what_a_role_is_said_to_use_is_what_its_steps_are_made_of(tmp_path: Path, role: Role) -> None:
    (tmp_path / "kubeconfig").write_text(json.dumps(KUBECONFIG), encoding="utf-8")
    separate = {"roles": tuple(one for one in ROLES if one != "orchestration")}
    settings = Settings.model_validate(
        {
            "temporal": separate,
            "worker": {"roles": (role,)},
            "kubernetes": KubernetesSettings(kubeconfig=tmp_path / "kubeconfig"),
            "records": {"url": URL},
            "audit": AuditSettings(private_key=SecretStr(KEY)),
        }
    )
    watched = _Watched(settings)
    with wire(cast("Settings", watched)) as wired:
        wired.warm_up()
    assert {"temporal", *(watched.seen & set(SECRETS))} == SECRETS_OF_ROLE[role]


def test_the_webhook_and_slack_need_theirs_alone(folder: Path) -> None:
    give(folder, ["webhook"])
    webhook, _ = configuration.load(routed=True, secrets=("temporal", "webhook"))
    assert webhook.webhook.bearer_tokens[0].get_secret_value() == "x" * 40
    assert isinstance(webhook.records.url, FileSecret)
    # It is empty, and would open to anybody.
    (folder / "webhook").write_text("\n")
    with pytest.raises(
        SettingsError, match=r"webhook\.sources\.grafana\.grafana\.secrets\.0: the secret's file is empty"
    ):
        configuration.load(routed=True, secrets=("temporal", "webhook"))
    assert load(secrets=()).webhook.sources


def test_a_secret_that_is_read_later_is_still_told_by_its_file_alone(folder: Path) -> None:
    settings = load(secrets=())
    secret = settings.web.secret
    assert secret is not None
    with pytest.raises(
        ValueError, match=f"cannot read the secret's file: No such file or directory \\({folder}/web\\)"
    ):
        secret.get_secret_value()
    assert str(folder) not in repr(settings.web)
