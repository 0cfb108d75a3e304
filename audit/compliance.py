"""What a compliance package says: which controls, which evidence there is of each, and what is missing (runbook 8.3).

Nothing here says that somebody is compliant: that is an auditor's word. A control has evidence of this system, or not.
"""

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Control(_Part):
    """One criterion of a framework, in our own words, and what this system has of it."""

    id: str = Field(description="As the framework numbers it, e.g. `CC8.1` or `164.312(b)`.")
    title: str
    populations: tuple[str, ...] = Field(default=(), description="Names of populations.")
    exhibits: tuple[str, ...] = Field(default=(), description="Names of other files of the package.")
    missing: str = Field(default="", description="What it asks that this system has no evidence of.")


class Framework(_Part):
    """A framework, as far as it is looked at."""

    name: str = Field(description="As in a request: `soc2`.")
    title: str
    scope: str = Field(description="Which part of it.")
    controls: tuple[Control, ...]


class Sample(_Part):
    """One drawn item of a population."""

    id: str
    at: str = Field(description="RFC 3339, UTC.")
    who: str
    what: str
    rank: str = Field(description="SHA-256, hex, by which it was drawn.")


class Population(_Part):
    """Everything of one kind that the period has, by count, and what was drawn of it."""

    name: str
    title: str
    source: str = Field(description="Table and the column whose time counts.")
    file: str = Field(description="Where the package has all of it.")
    count: int
    samples: tuple[Sample, ...]

    @property
    def table(self) -> str:
        """Where it is from."""
        return self.source.partition(",")[0]


class Measured(_Part):
    """One thing whose encryption was looked at."""

    group: str = Field(description="For example `TLS` or `S3`.")
    what: str
    found: str = Field(description="What was measured; or why it could not be.")
    state: Literal["encrypted", "weak", "not encrypted", "could not look"]


class Gap(_Part):
    """A source that could not be looked at."""

    exhibit: str = Field(description="The file of the package that lacks it.")
    source: str
    why: str
    mendable: bool = Field(default=True, description="False: nobody can have it answer; it is found elsewhere.")

    def __str__(self) -> str:
        return f"{self.source}: {self.why}"


class Facts(_Part):
    """Everything that a package's report and its OSCAL document are made from: the same facts make the same bytes."""

    framework: Framework
    start: date
    end: date = Field(description="The last day, included; days are UTC's.")
    looked_on: date = Field(description="The day on which access and encryption were looked at, UTC.")
    seed: str
    seed_given: bool = Field(description="False: made from framework and period, and so known beforehand.")
    populations: tuple[Population, ...]
    audit_rows: int
    access: dict[str, int] = Field(description="Source → rows of the access review.")
    encryption: tuple[Measured, ...]
    gaps: tuple[Gap, ...]

    def population(self, name: str) -> Population:
        """Find one.

        Raises:
            KeyError: there is none of that name.

        """
        return {one.name: one for one in self.populations}[name]

    def standing(self, control: Control) -> str:
        """Say what there is of a control: `evidence`, `evidence, with gaps`, or `no evidence in this system`."""
        counts = [self.population(name).count for name in control.populations]
        if not any(counts) and not control.exhibits:
            return "no evidence in this system"
        return "evidence, with gaps" if control.missing or 0 in counts or self.lacking(control) else "evidence"

    def lacking(self, control: Control) -> list[Gap]:
        """Give the sources that could not be looked at, of the files that a control relies on.

        What one population lacks, others from the same table lack too.
        """
        tables = {self.population(name).table for name in control.populations}
        files = {of.file for of in self.populations if of.table in tables}
        return [gap for gap in self.gaps if gap.exhibit in {*control.exhibits, *files}]
