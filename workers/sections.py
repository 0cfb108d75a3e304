"""What every section of the settings is made of."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr, model_validator

from activities.common.times import too_long

_LATER: ContextVar[bool] = ContextVar("secrets are read where they are used", default=False)
_NOW: ContextVar[Collection[str] | None] = ContextVar("sections whose secrets are read at once", default=None)
"""None: all of them."""


class UnreadableSecret(ValueError):  # noqa: N818  a sentence for people
    """A secret's file can't be read, or has nothing in it."""


class FileSecret(SecretStr):
    """A secret that is in a file, read when it is used."""

    def get_secret_value(self) -> str:
        """Read it.

        Raises:
            UnreadableSecret: it can't be.

        """
        file = super().get_secret_value()
        try:
            return _content(file)
        except UnreadableSecret as error:
            raise UnreadableSecret(f"{error} ({file})") from None


@contextmanager
def secrets_of(sections: Collection[str] | None) -> Iterator[None]:
    """Read at once those secrets in files that are in these sections, and leave others there until they are used.

    A process has the settings of all, but its own secrets alone; who steers runs from a laptop has few of any.
    """
    token = _NOW.set(sections)
    try:
        yield
    finally:
        _NOW.reset(token)


@contextmanager
def section(name: str) -> Iterator[None]:
    """Validate what is in a section."""
    now = _NOW.get()
    token = _LATER.set(now is not None and name not in now)
    try:
        yield
    finally:
        _LATER.reset(token)


def _content(file: str) -> str:
    try:
        content = Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UnreadableSecret(f"cannot read the secret's file: {error.strerror}") from None
    if not content:  # an empty token would open, or be asked for, as any other
        raise UnreadableSecret("the secret's file is empty")
    return content


def _secret_from_file(value: object) -> object:
    """Read `file:/run/secrets/x` where a secret is expected, as container platforms hand them over."""
    if isinstance(value, str) and value.startswith("file:"):
        file = value.removeprefix("file:")
        return FileSecret(file) if _LATER.get() else _content(file)
    return value


Secret = Annotated[SecretStr, BeforeValidator(_secret_from_file)]


class Section(BaseModel):
    """One section: unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _spans_can_be_reckoned_with(self) -> Self:
        if long := too_long(self):
            raise ValueError(long)
        return self
