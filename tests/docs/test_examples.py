"""What documents show works as written: every `runbooks` line parses, every TOML block loads."""

import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from docs.steps import ROOT
from starters.__main__ import application
from tests.docs.blocks import blocks
from workers.settings import load

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_NAMED = re.compile(r"`(runbooks [^`]+)`")


def lines() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in blocks(page, "", "sh", "bash", "console"):
            for line in block.replace("\\\n", " ").splitlines():
                shown = line.strip().removeprefix("$ ")
                if shown.startswith("runbooks "):
                    yield page.name, shown


def commands(command: Any = None, name: str = "runbooks") -> dict[str, Any]:
    command = command or typer.main.get_command(application([]))
    found = {name: command}
    for inner, one in getattr(command, "commands", {}).items():
        found |= commands(one, f"{name} {inner}")
    return found


COMMANDS = commands()


def named(words: list[str]) -> tuple[str, list[str]]:
    """Give the command of a line, and what is left of it."""
    name, rest = words[0], words[1:]
    while rest and f"{name} {rest[0]}" in COMMANDS:
        name, rest = f"{name} {rest[0]}", rest[1:]
    return name, rest


@pytest.mark.parametrize(("page", "line"), list(lines()))
def test_a_line_of_a_page_parses(page: str, line: str) -> None:
    name, rest = named(shlex.split(line, comments=True))
    command = COMMANDS[name]
    assert not hasattr(command, "commands") or rest == ["--help"], f"{page}: {line}"
    with command.make_context(name, rest):
        pass


@pytest.mark.parametrize("page", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]), ids=lambda page: page.name)
def test_a_command_that_a_sentence_names_is_there_with_its_options(page: Path) -> None:
    """A sentence may leave out what a command needs, and so it isn't parsed."""
    for found in _NAMED.finditer(page.read_text(encoding="utf-8")):
        name, rest = named(shlex.split(found[1]))
        command, there = COMMANDS[name], {"--help"}
        for one in (command, COMMANDS["runbooks"]):
            there |= {option for parameter in one.params for option in (*parameter.opts, *parameter.secondary_opts)}
        group = hasattr(command, "commands")
        assert not (group and rest and rest[0][0] not in "-…"), f"{found[1]}: no such command"
        assert {word for word in rest if word.startswith("--")} <= there, found[1]


def test_every_command_has_an_example_in_its_help_and_a_place_in_the_page_of_commands() -> None:
    """The examples themselves are parsed above, in the page."""
    page = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    for name, command in COMMANDS.items():
        if not hasattr(command, "commands"):
            chapter = page.partition(f"`{name}`\n" if f"`{name}`\n" in page else f"`{name} ")[2].partition("\n## ")[0]
            assert f"\n{name}" in chapter, f"{name}: its help has no `Example: {name} …`"


TOML = [(page.name, block) for page in PAGES for block in blocks(page, "toml")]


@pytest.mark.parametrize(("page", "block"), TOML)
def test_a_block_of_settings_loads(page: str, block: str) -> None:
    assert tomllib.loads(block), page


@pytest.mark.parametrize(
    "pages", [("README.md",), ("docs/configuration.md",), ("docs/adopting.md",)], ids=lambda p: p[0]
)
def test_the_blocks_of_settings_of_a_page_load_pasted_together(
    pages: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one file, which the program takes; secrets are read where they are used."""
    for name in [name for name in os.environ if name.startswith("RUNBOOKS_")]:
        monkeypatch.delenv(name)
    together = "\n".join(block for page in pages for block in blocks(ROOT / page, "toml") if "[[route]]" not in block)
    (tmp_path / "runbooks.toml").write_text(together, encoding="utf-8")
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(tmp_path / "runbooks.toml"))
    if pages == ("docs/adopting.md",):  # it goes on behind what `config init` has written
        assert tomllib.loads(together)["approvals"]["public_keys"] == ["…"]
    else:
        assert load(secrets=()).services.keys() == {"tensafe-server"}


def test_the_settings_beside_compose_load_with_all_that_they_offer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes a comment away must get what it shows."""
    for name in [name for name in os.environ if name.startswith("RUNBOOKS_")]:
        monkeypatch.delenv(name)
    text = (ROOT / "deploy/runbooks.toml").read_text(encoding="utf-8")
    offered, comments = re.subn(r"^# (\[.*\].*|\w+ = .*)$", r"\1", text, flags=re.MULTILINE)
    assert comments > 40
    (tmp_path / "runbooks.toml").write_text(offered, encoding="utf-8")
    (tmp_path / "routes.toml").write_bytes((ROOT / "deploy/routes.toml").read_bytes())
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(tmp_path / "runbooks.toml"))
    loaded = load(secrets=())
    service = loaded.services["tensafe-server"]
    assert None not in (service.gpu, service.release, service.certificates, service.database, service.daily)
    assert loaded.acme.namespace == service.namespace
