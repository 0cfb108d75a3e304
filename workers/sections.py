"""What every section of the settings is made of."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr


def _secret_from_file(value: object) -> object:
    """Read `file:/run/secrets/x` where a secret is expected, as container platforms hand them over."""
    if isinstance(value, str) and value.startswith("file:"):
        try:
            return Path(value.removeprefix("file:")).read_text(encoding="utf-8").strip()
        except OSError as error:
            message = f"cannot read the secret's file: {error.strerror}"
            raise ValueError(message) from None
    return value


Secret = Annotated[SecretStr, BeforeValidator(_secret_from_file)]


class Section(BaseModel):
    """One section: unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
