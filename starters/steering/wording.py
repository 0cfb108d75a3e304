"""The words that can be said to a run, as its procedure declares them: an update each, that takes a `SignedWord`."""

import functools
import typing
from dataclasses import dataclass
from typing import Any

from temporalio import workflow

from workers.registry import Procedure
from workflows.platform.described import EXAMPLE
from workflows.platform.signing import SignedWord

_ANSWER = "decide"
"""It goes with its question."""


@dataclass(frozen=True)
class Word:
    """One word."""

    update: str
    kind: type[SignedWord]
    answers: Any
    """The type of what the run answers."""
    does: str
    """What it does in this procedure, in a sentence."""

    @property
    def name(self) -> str:
        """What a button says: `Take over`."""
        return self.update.replace("-", " ").replace("_", " ").capitalize()


def words_of(procedure: Procedure) -> dict[str, Word]:
    """Give the words of a procedure by their update's name; imports the procedure."""
    workflow_class: type = procedure.workflow
    return _words(workflow_class)


@functools.cache
def _words(procedure: type) -> dict[str, Word]:
    definition = workflow._Definition.must_from_class(procedure)  # noqa: SLF001 # there is no other list
    found = {}
    for name, update in definition.updates.items():
        kinds = [kind for kind in update.arg_types or () if isinstance(kind, type) and issubclass(kind, SignedWord)]
        if name is None or name == _ANSWER or len(kinds) != 1:
            continue
        hints = typing.get_type_hints(update.fn)
        does, _, _ = (update.description or "").partition(EXAMPLE)
        found[name] = Word(name, kinds[0], hints.get("return", str), does)
    return found
