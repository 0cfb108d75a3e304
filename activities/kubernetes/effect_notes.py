"""The notes that effects leave on the objects of a cluster, so that a second attempt sees what the first one did.

They are kept in an annotation, the last few of them; whoever changes an object writes its note in the same patch.
"""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

OURS = "runbooks.dev/"
EFFECTS = f"{OURS}effects"
_KEPT = 5


class Done(BaseModel):
    """The note that an effect leaves: what it did, in the words of its `Change`, and on whose behalf."""

    model_config = ConfigDict(frozen=True)

    key: str
    by: str
    before: str
    after: str
    note: str = ""


_DONE = TypeAdapter(list[Done])


def read(annotations: Mapping[str, str]) -> list[Done]:
    """Give the notes among an object's annotations, oldest first."""
    try:
        return _DONE.validate_json(annotations.get(EFFECTS, "[]"))
    except ValidationError:
        return []  # somebody edited it by hand


def find(key: str, *annotations: Mapping[str, str]) -> Done | None:
    """Find an effect's note among the annotations of one or more objects."""
    return next((done for notes in annotations for done in read(notes) if done.key == key), None)


def noted(annotations: Mapping[str, str], *done: Done) -> str:
    """Give the annotation's value with more notes."""
    kept = [*read(annotations), *done][-_KEPT:]
    return _DONE.dump_json(kept, exclude_defaults=True).decode()
