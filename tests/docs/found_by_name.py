"""Which modules decide something, and have no test that is found by their name.

`python -m tests.docs.found_by_name [FOLDER …]` lists them; `--write` writes `not_found_by_name.txt` anew, and
`--changed main` gives the tests of what differs from that branch, for `make changed`.
"""

import argparse
import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from docs.steps import ROOT

PRODUCT = ("activities", "audit", "docs", "libraries", "records_schema", "sandbox", "starters", "workers", "workflows")
NOT_FOUND = Path(__file__).with_name("not_found_by_name.txt")
_DECISIONS = (
    ast.If,
    ast.IfExp,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.Try,
    ast.Match,
    ast.BoolOp,
    ast.Compare,
    ast.comprehension,
)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def decides(source: str) -> bool:
    """Tell whether a module's functions do more than pass on: a branch, a loop, a comparison, a refusal caught."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, _FUNCTIONS)]
    return any(isinstance(node, _DECISIONS) for function in functions for node in ast.walk(function))


def place_of_test(module: Path) -> Path:
    """Give where the test of a module is to be, both beside the project's root.

    >>> place_of_test(Path("starters/cli/_words.py")).as_posix()
    'tests/starters/cli/test_words.py'
    """
    return "tests" / module.parent / f"test_{module.stem.strip('_')}.py"


def modules(root: Path = ROOT) -> Iterator[Path]:
    """Give the product's modules that decide something, in order."""
    for folder in PRODUCT:
        for path in sorted((root / folder).rglob("*.py")):
            if path.name != "__init__.py" and decides(path.read_text(encoding="utf-8")):
                yield path.relative_to(root)


def not_found(root: Path = ROOT) -> list[str]:
    """Give the modules that decide something and have no test of their name."""
    return [module.as_posix() for module in modules(root) if not (root / place_of_test(module)).exists()]


def named_by(changed: Iterable[Path], root: Path = ROOT) -> list[str]:
    """Give the tests that are found by the names of files that changed: a test's own file, a module's test."""
    tests = (path if path.name.startswith("test_") else place_of_test(path) for path in changed if path.suffix == ".py")
    return sorted({test.as_posix() for test in tests if (root / test).exists()})


def changed_files(base: str, root: Path = ROOT) -> list[Path]:
    """Give what differs from where this branch left `base`, committed or not, new files included.

    Raises:
        subprocess.CalledProcessError: this is no checkout of git, or it knows no `base`.

    """
    (left_at,) = _git(root, "merge-base", base, "HEAD")
    changed = _git(root, "diff", "--name-only", "--diff-filter=d", left_at)
    return [Path(line) for line in (*changed, *_git(root, "ls-files", "--others", "--exclude-standard"))]


def _git(root: Path, *arguments: str) -> list[str]:
    done = subprocess.run(("git", "-C", root, *arguments), check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()


def _main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.docs.found_by_name", description=__doc__)
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help="only below these")
    parser.add_argument("--write", action="store_true", help=f"write {NOT_FOUND.name} anew")
    parser.add_argument("--changed", metavar="BRANCH", help="the tests of what differs from it")
    given = parser.parse_args(arguments)
    if given.changed:
        print("\n".join(named_by(changed_files(given.changed))))
        return 0
    missing = not_found()
    if given.write:
        NOT_FOUND.write_text("".join(f"{module}\n" for module in missing), encoding="utf-8")
    folders = tuple(f"{folder.rstrip('/')}/" for folder in given.folders)
    named = [module for module in missing if not folders or module.startswith(folders)]
    print("\n".join(named))
    print(f"{len(named)} of {sum(1 for _ in modules())} modules that decide something", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
