"""`--json` on every command that tells facts: one document on stdout, and all else on stderr."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from docs.steps import ROOT
from starters.__main__ import application
from tests.starters.support import settings_file
from tests.workflows.worlds.world import World

NO_FACTS = {
    "audit metrics": "serves",
    "audit postmortem": "writes a document of its own, in Markdown",
    "challenge-server": "serves",
    "codec-server": "serves",
    "config reference": "writes a document of its own, in TOML",
    "config schema": "is JSON",
    "handover-server": "serves",
    "mcp": "serves",
    "status-page": "serves",
    "web": "serves",
}
PROCESSES = ("sandbox up", "sandbox down", "sandbox status")
"""Commands that leave it to a process of its own."""


def commands(command: Any = None, name: str = "") -> dict[str, Any]:
    command = command or typer.main.get_command(application([]))
    if not hasattr(command, "commands"):
        return {name: command}
    return {
        key: one
        for inner, sub in command.commands.items()
        for key, one in commands(sub, f"{name} {inner}".strip()).items()
    }


COMMANDS = commands()
TELLING = sorted(COMMANDS.keys() - NO_FACTS.keys())


def takes(command: Any) -> bool:
    return any("--json" in parameter.opts for parameter in command.params)


def example(command: Any) -> list[str]:
    (line,) = re.findall(r"Example: runbooks (.+)", command.help)
    return shlex.split(line)


def test_every_command_that_tells_facts_has_it() -> None:
    assert {name for name, command in COMMANDS.items() if not takes(command)} == set(NO_FACTS)


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings of which nothing answers."""
    gone = "127.0.0.1:1"
    records = {"url": f"postgresql://nobody@{gone}/nothing?connect_timeout=1"}
    file = settings_file(tmp_path, gone, "runbooks", World(), records=records, prometheus={"url": f"http://{gone}"})
    (tmp_path / "payload.json").write_text("{}", encoding="utf-8")
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(file))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-cluster"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(application(arguments), list(arguments))


@pytest.mark.parametrize("name", [name for name in TELLING if name not in PROCESSES])
def test_where_nothing_answers_stdout_has_one_document_or_nothing(name: str, nobody: Path) -> None:
    """With each command's own example: what is wrong is a sentence on stderr."""
    result = run(*example(COMMANDS[name]), "--json")
    assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit), result.exception
    if result.stdout:
        json.loads(result.stdout)
    assert result.stdout or result.stderr.strip(), name
    assert result.exit_code == 0 or result.stderr.strip(), name


def test_what_needs_no_server_is_a_document(nobody: Path) -> None:
    public = json.loads(run("keys", "generate", "--private", "a.pem", "--json").stdout)
    assert public.keys() == {"public_key", "private_key"}
    assert Path(public["private_key"]) == nobody / "a.pem"
    begun = run("config", "init", "api", "--health-url", "http://api:1/health", "--file", "new.toml", "--json")
    told = json.loads(begun.stdout)
    assert (told["file"], told["service"], told["selector"]) == (str(nobody / "new.toml"), "api", "app=api")
    assert json.loads(run("config", "check", "--files-only", "--json").stdout) == []
    one = json.loads(run("catalogue", "p1-incident", "--json").stdout)
    assert (one["workflow_type"], one["example_input"]["service"]) == ("P1Incident", "tensafe-server")
    assert [view["name"] for view in json.loads(run("views", "--json").stdout)][-1] == "Runs of tensafe-server"


def test_no_sandbox_is_a_document_too(nobody: Path) -> None:
    for words, code, said in ((("status",), 3, []), (("down",), 0, {"stopped": []})):
        done = subprocess.run(
            [sys.executable, "-m", "sandbox", *words, "--json"],
            cwd=nobody,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, json.loads(done.stdout), done.stderr) == (code, said, "")
