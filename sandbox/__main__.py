"""`python -m sandbox up|down|status`: the embedded environment from the command line."""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.table import Column, Table

from sandbox import environment
from sandbox.assembly import TemporalKind
from sandbox.processes import ServerFailed
from sandbox.supervisor import FIRST_BACKUP, State, Supervisor
from sandbox.terminal import near, say_next
from sandbox.toolchain.errors import ToolchainError

_console = Console(highlight=False)


def show_links(state: State, console: Console = _console) -> None:
    """Print where everything is."""
    table = Table.grid(padding=(0, 2))
    for name, link in state.links.items():
        table.add_row(f"[bold]{name}[/bold]", f"[link={link}]{link}[/link]")
    for name, value in (("settings", state.config), ("kubeconfig", state.kubeconfig)):
        table.add_row(f"[bold]{name}[/bold]", str(value))
    console.print(table)
    if FIRST_BACKUP not in state.ready:
        console.print(
            f"\n{FIRST_BACKUP} is being taken: nothing can be restored before it is there "
            "(`runbooks sandbox status` says when)"
        )
    settings, kubeconfig = shlex.quote(str(state.config)), shlex.quote(str(state.kubeconfig))
    console.print(f"\nexport RUNBOOKS_CONFIG={settings} KUBECONFIG={kubeconfig}", soft_wrap=True)


def show_status(state: State | None, console: Console = _console) -> int:
    """Print the processes; gives 0 when the sandbox is ready, 3 when it is not."""
    if state is None:
        console.print("no sandbox runs here: `make sandbox` starts one", markup=False)
        return 3
    console.print(f"{state.status}{f': {state.message}' if state.message else ''}")
    if state.processes:
        table = Table("process", "pid", "restarts", Column("log", overflow="fold"), box=None)
        for process in state.processes:
            pid = str(process.pid) if process.pid else "[red]gone[/red]"
            table.add_row(process.name, pid, str(process.restarts), near(process.log))
        console.print(table)
    if state.status == "ready":
        show_links(state, console)
        return 0
    return 3


def document(facts: object) -> None:
    """Write one JSON document on stdout, for programs."""
    sys.stdout.write(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 1 when it could not be done, 3 from `status` when the sandbox does not run."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "status", "supervise"])
    parser.add_argument(
        "--dir", type=Path, default=None, help=f"default: {environment.DIRECTORY}; down, status: of what runs here"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--temporal",
        choices=get_args(TemporalKind),
        default="development",
        help="up: its development server, or the server of production on PostgreSQL, which is built first, for minutes",
    )
    parser.add_argument("--foreground", action="store_true", help="up: keep the terminal; Ctrl-C stops everything")
    parser.add_argument("--json", action="store_true", help="up, down, status: one JSON document on stdout")
    options = parser.parse_args(arguments)
    said = Console(stderr=True, highlight=False) if options.json else _console
    try:
        directory = options.dir or environment.DIRECTORY
        match options.command:
            case "supervise":
                supervisor = Supervisor(
                    directory, workers=options.workers, temporal=options.temporal, told=_console.print
                )
                return supervisor.run()
            case "up":
                return _up(
                    directory,
                    options.workers,
                    options.temporal,
                    said,
                    foreground=options.foreground,
                    as_json=options.json,
                )
            case "down":
                stopped = [place for place in _meant(options.dir) if environment.down(place)]
                if options.json:
                    document({"stopped": [str(place.resolve()) for place in stopped]})
                else:
                    _console.print(f"stopped: {', '.join(map(str, stopped))}" if stopped else "was not running")
                return 0
            case _:
                return _status(_meant(options.dir), as_json=options.json)
    except (ServerFailed, ToolchainError) as error:
        said.print(f"[red]{error}[/red]")
        return 1
    except KeyboardInterrupt:
        return 130


def _meant(directory: Path | None) -> list[Path]:
    """Give the named one, else what runs in this folder, a kept demo too; else the sandbox's place, running or not."""
    if directory is not None:
        return [directory]
    places = [environment.DIRECTORY, environment.DEMO]
    running = [place for place in places if (state := environment.status(place)) is not None and state.alive]
    return running or places[:1]


def _status(places: Sequence[Path], *, as_json: bool) -> int:
    states = [environment.status(place) for place in places]
    if as_json:
        found = zip(places, states, strict=True)
        document([{"directory": str(place.resolve()), **_facts(state)} for place, state in found if state is not None])
        return 0 if all(state is not None and state.status == "ready" for state in states) else 3
    return max(show_status(state) for state in states)


def _facts(state: State) -> dict[str, object]:
    return state.model_dump(mode="json", exclude={"created"})


def _up(
    directory: Path, workers: int, temporal: TemporalKind, said: Console, *, foreground: bool, as_json: bool
) -> int:
    begun = time.monotonic()
    with said.status("starting the sandbox") as spinner:

        def told(what: str) -> None:
            said.print(f"[green]✓[/green] {what}")
            spinner.update("starting the sandbox")

        state = environment.up(directory, workers=workers, temporal=temporal, foreground=foreground, told=told)
    if as_json:
        document({"directory": str(directory.resolve()), **_facts(state)})
    elif state.status == "ready":
        _console.print(f"ready in {time.monotonic() - begun:.1f} s\n")
        show_links(state)
        _console.print()
        say_next("runbooks services", directory, environment.DIRECTORY, _console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
