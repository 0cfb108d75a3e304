"""Which alert starts which procedure: ordered rules in a TOML file, the first that matches counts.

[[route]]
match = { severity = "P1" }                  # labels that must be equal
match_re = { alertname = "Tensafe.*" }       # labels that must match whole
procedure = "p1-incident"
service_label = "service"                    # which label names the service; or service = "tensafe-server"
"""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from workers.registry import Procedure, procedure
from workers.settings import SettingsError, explain


class Route(BaseModel):
    """One rule."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    procedure: str
    match: dict[str, str] = Field(default_factory=dict)
    match_re: dict[str, re.Pattern[str]] = Field(default_factory=dict)
    service: str | None = Field(default=None, description="Fixed service, whatever the labels say.")
    service_label: str = Field(default="service", description="Label that names the service.")

    @field_validator("procedure")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            found = procedure(value)
        except KeyError as error:
            raise ValueError(error.args[0]) from None
        if "alert" not in found.request.model_fields:
            message = f"{value} can't be started by an alert"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if not self.match and not self.match_re:
            message = 'match or match_re: one is required; `match_re = { alertname = ".*" }` takes everything'
            raise ValueError(message)
        return self

    def takes(self, labels: dict[str, str]) -> bool:
        """Whether the rule is for an alert with these labels."""
        return all(labels.get(name) == value for name, value in self.match.items()) and all(
            pattern.fullmatch(labels.get(name, "")) for name, pattern in self.match_re.items()
        )

    def service_of(self, labels: dict[str, str]) -> str | None:
        """Name the service; None where only the catalogue can tell."""
        return self.service or labels.get(self.service_label) or None

    @property
    def target(self) -> Procedure:
        """The procedure that it starts."""
        return procedure(self.procedure)


class Routes(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    route: tuple[Route, ...] = ()

    def find(self, labels: dict[str, str]) -> Route | None:
        """Find the first rule for an alert."""
        return next((route for route in self.route if route.takes(labels)), None)

    def check_services(self, known: Iterable[str]) -> None:
        """Refuse a rule that names a service the catalogue doesn't have.

        Raises:
            SettingsError: names rule and service.

        """
        services = set(known)
        for number, route in enumerate(self.route, start=1):
            if route.service is not None and route.service not in services:
                message = f"route {number}: service {route.service!r} is not in the catalogue: {sorted(services)}"
                raise SettingsError(message)


def load(file: Path) -> Routes:
    """Read the file.

    Raises:
        SettingsError: it is missing or wrong; names the field.

    """
    try:
        return Routes.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        message = f"{file}: {error.strerror}. [webhook] routes names the file of routing rules"
        raise SettingsError(message) from None
    except tomllib.TOMLDecodeError as error:
        message = f"{file}: {error}"
        raise SettingsError(message) from None
    except ValidationError as error:
        message = f"{file}: {explain(error)}"
        raise SettingsError(message) from None
