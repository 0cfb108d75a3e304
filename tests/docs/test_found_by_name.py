"""A module that decides something has a test that is found by its name; the list of those without may only shrink."""

import subprocess
from pathlib import Path

import pytest

from tests.docs.found_by_name import NOT_FOUND, changed_files, decides, named_by, not_found, place_of_test


def test_each_module_has_a_test_of_its_name() -> None:
    named = NOT_FOUND.read_text(encoding="utf-8").split()
    missing = not_found()
    new = sorted(set(missing) - set(named))
    assert not new, "\n".join(f"{module} has no test: write {place_of_test(Path(module))}" for module in new)
    gone = sorted(set(named) - set(missing))
    assert not gone, f"these are found by name now: `python -m tests.docs.found_by_name --write`: {gone}"


@pytest.mark.parametrize(
    "body",
    [
        "def f(a):\n    return 1 if a else 2",
        "async def f(a):\n    async for one in a:\n        print(one)",
        "class C:\n    def f(self, a):\n        return [one for one in a]",
        "def f(a):\n    return a and a.b",
        "def f(a):\n    try:\n        a()\n    except ValueError:\n        pass",
    ],
)
def test_a_branch_a_loop_or_a_refusal_decides(body: str) -> None:
    assert decides(body)


@pytest.mark.parametrize("body", ["A = 1 if True else 2", "def f(a):\n    return g(a, 1)", "class C:\n    x: int = 1"])
def test_what_only_declares_or_passes_on_decides_nothing(body: str) -> None:
    assert not decides(body)


def test_a_private_module_is_found_without_its_underscore(tmp_path: Path) -> None:
    module = tmp_path / "audit" / "_reading.py"
    module.parent.mkdir()
    module.write_text("def f(a):\n    return a > 1\n", encoding="utf-8")
    assert not_found(tmp_path) == ["audit/_reading.py"]
    test = tmp_path / "tests" / "audit" / "test_reading.py"
    test.parent.mkdir(parents=True)
    test.touch()
    assert not_found(tmp_path) == []


def _git(checkout: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Tests", "-c", "user.email=tests@example.com")
    subprocess.run(("git", "-C", checkout, *identity, *arguments), check=True, stdout=subprocess.DEVNULL)


def test_the_tests_of_a_change_are_those_of_its_modules_and_its_own(tmp_path: Path) -> None:
    for name in (
        "audit/old.py",
        "audit/gone.py",
        "audit/kept.py",
        "tests/audit/test_old.py",
        "tests/audit/test_kept.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    _git(tmp_path, "init", "--quiet", "--initial-branch=main")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "--message=first")
    _git(tmp_path, "switch", "--quiet", "--create=change")
    (tmp_path / "audit/old.py").write_text("A = 1\n", encoding="utf-8")
    (tmp_path / "audit/gone.py").unlink()
    _git(tmp_path, "commit", "--quiet", "--all", "--message=second")
    (tmp_path / "tests/audit/test_new.py").touch()
    (tmp_path / "notes.md").touch()

    changed = changed_files("main", tmp_path)

    assert changed == [Path("audit/old.py"), Path("notes.md"), Path("tests/audit/test_new.py")]
    assert named_by(changed, tmp_path) == ["tests/audit/test_new.py", "tests/audit/test_old.py"]
