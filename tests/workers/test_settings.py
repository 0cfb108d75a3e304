"""Settings: one file, overrides from the environment, errors that name the field and keep the secret."""

from pathlib import Path

import pytest
from temporalio.common import WorkerDeploymentVersion

from workers.settings import SettingsError, WorkerSettings, load
from workers.worker import CHECKED, version

FILE = """
[records]
url = "postgresql://runbooks:hunter2@127.0.0.1/records"
[services.tensafe-server]
namespace = "tensafe"
deployment = "tensafe-server"
selector = "app=tensafe"
health_url = "http://127.0.0.1/health"
time_zone = "Europe/Berlin"
[services.tensafe-server.incident]
mitigation = "approve"
steady_for = "PT10S"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "runbooks.toml"
    path.write_text(FILE, encoding="utf-8")
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(path))
    return path


def test_the_file_is_read(file: Path) -> None:
    service = load().services["tensafe-server"]
    assert service.incident.mitigation == "approve"
    assert service.incident.steady_for.total_seconds() == 10
    assert service.incident.scale_to == 10


def test_the_environment_wins(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOKS_TEMPORAL__TASK_QUEUE", "another")
    monkeypatch.setenv("RUNBOOKS_WEBHOOK__PORT", "0")
    settings = load()
    assert settings.temporal.task_queue == "another"
    assert settings.webhook.port == 0


def test_relative_paths_are_relative_to_the_file(file: Path) -> None:
    settings = load()
    assert settings.path(settings.evidence.directory) == file.parent / "var/evidence"


def test_secrets_can_be_files_and_are_never_shown(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("xoxb-secret\n", encoding="utf-8")
    monkeypatch.setenv("RUNBOOKS_SLACK__TOKEN", f"file:{tmp_path / 'token'}")
    settings = load()
    assert settings.slack.token is not None
    assert settings.slack.token.get_secret_value() == "xoxb-secret"
    assert "xoxb-secret" not in repr(settings)
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ('[services.x]\nselector = "a=b"\nhealth_url = "x"', "services.x.deployment: Field required"),
        ('[services.x]\nselector = "a=b"\nhealth_url = "x"', "services.x.namespace: Field required"),
        (FILE + "[services.tensafe-server.gpu]\n", "services.tensafe-server.gpu.cluster: Field required"),
        (
            FILE + '[services.tensafe-server.release]\nchart = "c"\n',
            "services.tensafe-server.release.release: Field required",
        ),
        ('[acme]\ndirectory = "https://ca.test/dir"\n', "acme: namespace: required with a directory"),
        ("[servcies.x]\n", "servcies: there is no such field"),
        ('[slack]\nbackend = "slack"', "token: required for the slack backend"),
        ('[records]\nurl = "file:/nowhere/hunter2"', "records.url: cannot read the secret's file"),
        ('[webhook]\nbearer_tokens = ["file:/dev/null"]', "webhook.bearer_tokens.0: the secret's file is empty"),
        ('[evidence]\nbackend = "s3"', "bucket: required"),
        ("[records\n", "runbooks.toml"),
        (FILE.replace("Europe/Berlin", "Europe/Brelin"), "not an IANA time zone"),
    ],
)
def test_wrong_settings_name_the_field(file: Path, broken: str, says: str) -> None:
    file.write_text(broken, encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        load()
    assert says in str(error.value)
    assert "hunter2" not in str(error.value)


def test_memory_for_open_runs_is_a_number_of_them() -> None:
    assert [WorkerSettings(cache_mib=mib).cached_runs for mib in (0, 1, 512)] == [0, 4, 2048]


def test_the_workflow_sandbox_is_on_in_tests_and_off_unless_settings_say_so(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CHECKED.workflow_sandbox
    assert not load().worker.workflow_sandbox
    monkeypatch.setenv("RUNBOOKS_WORKER__WORKFLOW_SANDBOX", "true")
    assert load().worker.workflow_sandbox


def test_a_named_file_must_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(tmp_path / "nowhere.toml"))
    with pytest.raises(SettingsError, match="does not exist"):
        load()


def test_certificates_and_their_authority(file: Path) -> None:
    served = 'served = [{ host = "api.tensafe.test", addresses = ["10.0.0.1", "[2001:db8::1]:8443"] }]'
    certificates = f'[services.tensafe-server.certificates]\n{served}\nacme = {{ secrets = ["tls"] }}\n'
    acme = '[acme]\ndirectory = "https://ca.test/dir"\nterms_agreed = true\nnamespace = "tensafe"\n'
    file.write_text(FILE + certificates + acme, encoding="utf-8")
    loaded = load()
    policy = loaded.services["tensafe-server"].certificates
    assert policy is not None
    assert [str(served) for served in policy.served] == ["api.tensafe.test"]
    assert policy.acme is not None
    assert (policy.acme.challenge, loaded.acme.terms_agreed) == ("http-01", True)
    file.write_text(FILE + acme + 'eab_key_id = "k"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="acme: eab_key_id and eab_key: both or neither"):
        load()
    file.write_text(FILE + certificates.replace("10.0.0.1", "10.0.0"), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"'10\.0\.0': expected IP, IP:port"):
        load()


def test_temporals_worker_controller_says_which_version_a_worker_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_DEPLOYMENT_NAME", "runbooks/runbooks-worker")
    monkeypatch.setenv("TEMPORAL_WORKER_BUILD_ID", "2-5f9c")
    assert version(WorkerSettings()) == WorkerDeploymentVersion("runbooks/runbooks-worker", "2-5f9c")
    # What settings say counts.
    assert version(WorkerSettings(deployment="ours", build_id="3")) == WorkerDeploymentVersion("ours", "3")
    monkeypatch.undo()
    assert version(WorkerSettings()) is None
