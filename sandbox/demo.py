"""`make demo`: a bad release goes out, and from then on nothing is scripted.

A real Prometheus sees the service go down, a real Alertmanager calls the webhook, and the durable P1 workflow brings
the service back. The only hands in it are those of the commander who closes the incident in the end.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args
from urllib.parse import unquote

import httpx
import psycopg
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.terminal_theme import MONOKAI
from rich.text import Text
from temporalio.client import Client, WorkflowHandle

from sandbox import environment, manifests
from sandbox.assembly import Environment, TemporalKind
from sandbox.configuration import Configuration
from sandbox.processes import ServerFailed
from sandbox.supervisor import State, describe
from sandbox.terminal import near, say_next
from sandbox.toolchain.errors import ToolchainError
from starters.cli.view import Shown, render, timeline_table
from workers.clients import connect
from workers.settings import TemporalSettings
from workflows.incident_response.p1_incident import P1Incident, P1Result
from workflows.platform.run_status import RunStatus

DIRECTORY = environment.DEMO
_EARLIER = "earlier"
SECOND_ALERT = "KubePodCrashLooping"
GOOD, BAD = manifests.GOOD_IMAGE.rpartition(":")[2], manifests.BAD_IMAGE.rpartition(":")[2]
_ALERT_WITHIN = 240.0
_CLOSED_WITHIN = 240.0
_REFRESH = 0.25
_WIDE = 120
"""Characters of a picture's lines: what a README's column shows without being shrunk too far."""

P1Handle = WorkflowHandle[P1Incident, P1Result]


class DemoFailed(Exception):  # noqa: N818  reads as the sentence it is
    """The service didn't come back by itself, or something of the sandbox failed."""


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; 0 only if the service is healthy on the good release again and the incident is closed."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running afterwards")
    parser.add_argument("--dir", type=Path, default=DIRECTORY, help="default: %(default)s")
    parser.add_argument(
        "--temporal",
        choices=get_args(TemporalKind),
        default="development",
        help="its development server, or the server of production on PostgreSQL, which is built first, for minutes",
    )
    parser.add_argument("--picture", type=Path, help="also draw what is printed, as SVG, into this file")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, record=options.picture is not None, width=_WIDE if options.picture else None)
    began = time.monotonic()
    try:
        with _sandbox(options.dir, console, options.temporal, keep=options.keep) as state:
            asyncio.run(Demo(state, console).run())
            console.print(f"\n[green]Done in {time.monotonic() - began:.0f} s.[/] All of it was real but the service.")
            if options.picture:
                _draw(console, options.picture)
            if options.keep:
                console.print(f"It goes on running: {state.links['Temporal UI']}\n", soft_wrap=True)
                say_next("runbooks list --all", options.dir, DIRECTORY, console)
    except (DemoFailed, ServerFailed, ToolchainError) as error:
        console.print(f"[red]{error}[/]")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _draw(console: Console, file: Path) -> None:
    """Write a picture of what was printed; what only moved, a spinner or a live view, isn't in it."""
    text = console.export_svg(title="make demo", theme=MONOKAI, unique_id="demo")
    file.write_text(text, encoding="utf-8")


@contextmanager
def _unrecorded(console: Console) -> Iterator[None]:
    """Leave out of the picture what is drawn over and over."""
    recorded, console.record = console.record, False
    try:
        yield
    finally:
        console.record = recorded


def _put_aside(directory: Path) -> Path | None:
    """Keep an earlier demo's evidence under its own name: pages, bundles, logs and metrics; gives where."""
    found = [*directory.glob("INC-*.html"), *directory.glob("*.bundle.zip"), *directory.glob("audit-public.pem")]
    if not any(file.suffix == ".html" for file in found):
        return None
    at = datetime.fromtimestamp(max(file.stat().st_mtime for file in found), UTC)
    kept = directory.parent / f"{directory.name}-{_EARLIER}" / f"{at:%Y%m%dT%H%M%SZ}"
    kept.mkdir(parents=True, exist_ok=True)
    for file in [*found, *directory.glob("evidence")]:
        file.replace(kept / file.name)
    return kept


@contextmanager
def _sandbox(directory: Path, console: Console, temporal: TemporalKind, *, keep: bool) -> Iterator[State]:
    """Start what the demo takes, or if it is to be kept a whole sandbox.

    Unless it is kept it dies with us, even by kill -9.
    """
    environment.down(directory)
    if kept := _put_aside(directory):
        console.print(f"[dim]the evidence of the demo before this one is kept in {near(kept)}[/]", soft_wrap=True)

    def told(what: str) -> None:
        console.print(f"[green]✓[/] {what}")

    console.rule("Starting the real servers")
    if keep:
        yield environment.up(directory, temporal=temporal, told=told)
        return
    ours = Environment(directory, whole=False, temporal=temporal)
    ours.start(told)
    try:
        yield describe(ours, "ready")
    finally:
        console.print("[dim]stopping the servers …[/]")
        ours.stop()


class Demo:
    """One bad release, watched to its end."""

    def __init__(self, state: State, console: Console) -> None:
        self.state = state
        self.console = console
        self.ui = state.links["Temporal UI"]
        assert state.config is not None
        assert state.kubeconfig is not None
        assert state.gateway_key is not None
        self.config, self.kubeconfig, self.gateway_key = state.config, state.kubeconfig, state.gateway_key

    async def run(self) -> None:
        """Release, watch, close, check.

        Raises:
            DemoFailed: says what didn't happen.

        """
        assert self.state.temporal_address is not None
        client = await connect(TemporalSettings(address=self.state.temporal_address))
        self.console.rule(f"Rolling out {BAD}, whose pods crash")
        manifests.release(self.kubeconfig, "tensafe", manifests.BAD_IMAGE)
        released = datetime.now(UTC)
        handle = await self._alerted(client)
        await asyncio.to_thread(self._second_alert)
        live = Live(console=self.console, refresh_per_second=1 / _REFRESH, transient=True)
        with _unrecorded(self.console), live:
            status = await self._watch(handle, live)
        closing = asyncio.create_task(handle.result())
        self._close(handle.id)
        result = await asyncio.wait_for(closing, _CLOSED_WITHIN)
        status = await handle.query(P1Incident.status)
        self._show(status, result, released)
        await asyncio.to_thread(self._check, result)
        await asyncio.to_thread(self._prove, result)

    async def _alerted(self, client: Client) -> P1Handle:
        """Wait for the alert's run; nobody here starts it."""
        deadline = time.monotonic() + _ALERT_WITHIN
        spinner = self.console.status("waiting for Prometheus to see it, and for Alertmanager to call")
        with _unrecorded(self.console), spinner:
            while time.monotonic() < deadline:
                async for run in client.list_workflows("WorkflowType = 'P1Incident'", limit=1):
                    return client.get_workflow_handle_for(P1Incident.run, run.id)
                spinner.update(f"Prometheus → Alertmanager → webhook … the service says: {_health(self.state)}")
                await asyncio.sleep(_REFRESH)
        raise DemoFailed(f"no alert started a run within {_ALERT_WITHIN:g} s; see {self.state.links['Prometheus']}")

    def _second_alert(self) -> None:
        """Tell Alertmanager of a crashing pod, as another rule would: it is the same trouble, so it joins the run."""
        alert = {
            "labels": {
                "alertname": SECOND_ALERT,
                "severity": "P1",
                "service": manifests.SERVICE,
                "pod": "one-of-three",
            },
            "annotations": {"summary": f"a pod of {manifests.SERVICE} crashes"},
        }
        httpx.post(self.state.links["Alertmanager"], json=[alert], timeout=10).raise_for_status()

    async def _watch(self, handle: P1Handle, live: Live) -> RunStatus:
        deadline = time.monotonic() + _CLOSED_WITHIN
        link = f"{self.ui}/namespaces/default/workflows/{handle.id.replace('/', '%2F')}"
        while time.monotonic() < deadline:
            status = await handle.query(P1Incident.status)
            view = render(status, Shown(now=datetime.now(UTC), link=link))
            live.update(Group(view, Text(f"the service says: {_health(self.state)}", style="dim")))
            joined = any("joins this incident" in entry.text for entry in status.entries)
            if status.waiting_for == "close" and joined:
                return status
            if status.waiting_for not in {"", "close"}:
                raise DemoFailed(
                    f"the run waits for a person to {status.waiting_for}, which this release shouldn't need: {link}"
                )
            await asyncio.sleep(_REFRESH)
        raise DemoFailed(f"the service was not stable within {_CLOSED_WITHIN:g} s; see {link}")

    def _close(self, run: str) -> None:
        """Answer as a commander would: with the command line, through the gateway that signs."""
        self._runbooks("close", run, "--resolution", f"Rolled back to {GOOD}", "--root-cause", f"Release {BAD} crashes")

    def _prove(self, result: P1Result) -> None:
        """Do what an auditor would: archive, read, and take the evidence along."""
        folder = self.config.parent
        page, bundle = folder / f"{result.incident_id}.html", folder / f"evidence-{result.incident_id}.bundle.zip"
        self._runbooks("audit", "archive")
        self._runbooks("audit", "show", result.incident_id, "--format", "html", "--output", near(page))
        self._runbooks("audit", "export", "--output", near(bundle))
        self._runbooks("audit", "verify", near(bundle), "--public-key", near(Configuration(folder).audit_public_key))

    def _runbooks(self, *command: str) -> None:
        shown = " ".join(f'"{part}"' if " " in part else part for part in command)
        self.console.print(f"\n[bold]$ runbooks {shown}[/]", soft_wrap=True)
        answer = subprocess.run(
            [sys.executable, "-m", "starters", *command],
            env={
                **os.environ,
                "RUNBOOKS_CONFIG": str(self.config),
                "RUNBOOKS_GATEWAY__PRIVATE_KEY": f"file:{self.gateway_key}",
                "RUNBOOKS_USER": "commander@tensafe.io",
                "RUNBOOKS_ROLE": "commander",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        self.console.print((answer.stdout + answer.stderr).strip(), soft_wrap=True)
        if answer.returncode != 0:
            raise DemoFailed(f"`runbooks {command[0]}` did not do it")

    def _show(self, status: RunStatus, result: P1Result, released: datetime) -> None:
        ours = f"file://{Path.cwd()}/"
        entries = [entry.model_copy(update={"text": entry.text.replace(ours, "")}) for entry in status.entries]
        self.console.print(timeline_table(status.model_copy(update={"entries": entries})))
        times = Table.grid(padding=(0, 3))
        noticed = status.started_at - released
        for name, took in (
            ("bad release → alert", noticed),
            ("alert → acknowledged", result.acknowledged_after),
            ("alert → mitigated", result.mitigated_after),
            ("alert → resolved", result.resolved_after),
        ):
            times.add_row(name, "not reached" if took is None else f"[bold]{took / timedelta(seconds=1):.1f} s[/]")
        self.console.print(Panel(times, title=f"{result.incident_id}: {result.resolution}", expand=False))
        file = next((uri for uri in result.evidence if uri.endswith("post-mortem.md")), "not written")
        self.console.print(
            f"the incident's file  [bold]{near(unquote(file.removeprefix('file://')))}[/]", soft_wrap=True
        )

    def _check(self, result: P1Result) -> None:
        health = httpx.get(self.state.links["service"]).json()
        if (health["status"], health["version"]) != ("healthy", GOOD):
            raise DemoFailed(f"the service is {health['status']} on {health['version']}, not healthy on {GOOD}")
        record = _incident_status(self.config, result.incident_id)
        if record != "closed":
            raise DemoFailed(f"the records say that {result.incident_id} is {record}, not closed")


def _health(state: State) -> str:
    try:
        body = httpx.get(state.links["service"], timeout=1).json()
    except (httpx.HTTPError, ValueError):
        return "nothing"
    return f"{body['status']}, {body['ready']} of {body['desired']} ready, {body['version']}"


def _incident_status(config: Path, incident_id: str) -> str:
    url = tomllib.loads(config.read_text(encoding="utf-8"))["records"]["url"]
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT status FROM runbooks.incidents WHERE incident_id = %s", (incident_id,)
        ).fetchone()
    return row[0] if row else "not recorded"


if __name__ == "__main__":
    sys.exit(main())
