"""`runbooks audit archive`, `runbooks audit redact` and `runbooks schedules`, as processes of their own."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from psycopg_pool import ConnectionPool

from audit.signer import FileSigner
from tests.audit.archiving import QUEUE, Place, new_namespace
from tests.audit.stories import new_pem
from tests.records_schema.fixtures import empty_database_url, records_pool, records_url  # noqa: F401


@dataclass
class Shell:
    place: Place
    file: Path

    async def run(self, *arguments: str, say: str = "") -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "starters",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "RUNBOOKS_CONFIG": str(self.file), "COLUMNS": "200", "RUNBOOKS_USER": "ada"},
        )
        out, err = await process.communicate(say.encode())
        return process.returncode or 0, out.decode(), err.decode()


@pytest.fixture
async def shell(
    temporal_address: str,
    records_url: str,  # noqa: F811
    records_pool: ConnectionPool[Any],  # noqa: F811
    tmp_path: Path,
) -> AsyncIterator[Shell]:
    client, pem = await new_namespace(temporal_address), new_pem()
    (tmp_path / "audit.pem").write_text(pem)
    settings = {
        "temporal": {"address": temporal_address, "namespace": client.namespace, "task_queue": QUEUE},
        "records": {"url": records_url},
        "audit": {"private_key": f"file:{tmp_path / 'audit.pem'}"},
    }
    (tmp_path / "runbooks.toml").write_text(tomli_w.dumps(settings))
    place = Place(client, records_pool, FileSigner(pem), tmp_path / "evidence")
    async with place.worker():
        yield Shell(place, tmp_path / "runbooks.toml")


async def test_it_archives_now_and_says_how_far_it_is(shell: Shell) -> None:
    assert (await shell.run("audit", "archive", "--status"))[:2] == (
        0,
        "nothing archived yet; the chain has 0 records\n",
    )
    await shell.place.runs([{"text": "x"}] * 3)
    code, out, err = await shell.run("audit", "archive")
    assert (code, err) == (0, "")
    assert out.startswith("3 runs archived, everything that closed before ")
    assert out.endswith("the chain has 3 records\n")
    code, out, _ = await shell.run("audit", "archive", "--status")
    assert code == 0
    assert out.startswith("archived: everything that closed before ")
    for options, key, value in (((), "head", 3), (("--status",), "records", 3), (("--reindex",), "indexed", 3)):
        code, out, err = await shell.run("audit", "archive", *options, "--json")
        assert (code, err, json.loads(out)[key]) == (0, "", value)
    assert (await shell.run("audit", "archive", "--reindex"))[:2] == (0, "3 runs indexed anew\n")
    assert shell.place.verify().ok


async def test_a_run_that_is_redacted_no_longer_says_it(shell: Shell) -> None:
    await shell.place.runs([{"text": "call Jane Customer"}, {"text": "nothing"}])
    assert (await shell.run("audit", "archive"))[0] == 0
    what = ("audit", "redact", "note-0", "--containing", "jane customer", "--reason", "GDPR request 17")
    code, out, err = await shell.run(*what, say="n\n")
    assert (code, "nothing was erased" in err) == (1, True), err
    assert shell.place.verify().redacted == 0
    code, out, err = await shell.run(*what, "--role", "admin", "--json", say="y\n")
    assert code == 0, err
    (erased,) = json.loads(out)
    assert (erased["workflow_id"], erased["record"]) == ("note-0", 3)
    assert "Erase it for good?" in err
    verdict = shell.place.verify()
    assert (verdict.ok, verdict.last) == (True, 3)
    assert verdict.redacted >= 3, "input, result and story"
    assert "Jane" not in "".join(story.model_dump_json() for story in shell.place.store.stories())
    assert [(line.who, line.action) for line in shell.place.store.accesses()][-1] == ("ada", "redact")
    assert (await shell.run(*what, "--yes"))[0] == 4, "there is nothing left to erase"


async def test_what_cannot_be_meant_is_refused_before_anything_is_erased(shell: Shell) -> None:
    await shell.place.runs([{"text": "call Jane"}])
    await shell.run("audit", "archive")
    for arguments, code, said in (
        (("note-9", "--containing", "x", "--reason", "y"), 4, "the archive has no run"),
        (("note-0", "--containing", " ", "--reason", "y"), 2, "--containing: empty"),
        (("note-0", "--containing", "Jane", "--reason", "jane wants it"), 2, "repeats what is to be erased"),
        (("note-0", "--containing", "Bob", "--reason", "y"), 4, "nothing that could be erased"),
    ):
        found, _, err = await shell.run("audit", "redact", *arguments, "--yes")
        assert (found, said in err) == (code, True), err
    assert shell.place.verify().redacted == 0


async def test_without_a_key_each_says_that_it_is_off(shell: Shell) -> None:
    shell.file.write_text(shell.file.read_text().replace("private_key", "bucket"))
    for command in (("audit", "archive"), ("audit", "redact", "x", "--containing", "y", "--reason", "z")):
        code, _, err = await shell.run(*command)
        assert (code, "the archive is off" in err) == (2, True), err
    code, out, _ = await shell.run("schedules", "apply")
    assert (code, "archive-runs: off" in out) == (0, True)


async def test_schedules_are_applied_and_listed(shell: Shell) -> None:
    assert "no schedules" in (await shell.run("schedules", "list"))[1]
    applied = (
        "archive-runs: made (every 1 h)\n"
        "sweep-holds: made (every 1 min)\n"
        "look-for-workers: made (every 1 min)\n"
        "churn-prevention: off (no service has customers.churn.scan_on)\n"
    )
    assert (await shell.run("schedules", "apply"))[:2] == (0, applied)
    while "archive-runs" not in (listed := await shell.run("schedules", "list"))[1]:
        await asyncio.sleep(0.1)
    assert listed[0] == 0
    assert "closed runs into the archive" in listed[1]
    again = json.loads((await shell.run("schedules", "apply", "--json"))[1])
    assert [one["schedule"] for one in again] == [
        "archive-runs",
        "sweep-holds",
        "look-for-workers",
        "churn-prevention",
    ]
    for how in ("pause", "resume"):
        options = ("--reason", "moving") if how == "pause" else ()
        document = json.loads((await shell.run("schedules", how, "archive-runs", *options, "--json"))[1])
        assert document == {"schedule": "archive-runs", "paused": how == "pause"}
    assert (
        "archive-runs"
        in json.loads((await shell.run("schedules", "trigger", "archive-runs", "--json"))[1])["workflow_id"]
    )
