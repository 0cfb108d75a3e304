"""The version names commit and build."""

from starters.cli import build
from tests.starters.cli.typed import run


def test_the_version_names_commit_and_build() -> None:
    told = run("--version")
    assert told.exit_code == 0
    assert told.stdout.strip() == build.version()
    assert build.build_id() in told.stdout
    assert len(build.build_id()) == 12
