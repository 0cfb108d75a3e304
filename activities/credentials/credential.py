"""A credential as runs speak of it: by its name in the settings, and never by its value."""

from pydantic import BaseModel, Field

from activities.catalogue.security import CredentialPolicy
from activities.common.effects import Change, Effect
from activities.common.text import Key


class Credential(BaseModel):
    """One that settings name."""

    namespace: Key = Field(description="Of its Kubernetes Secret, and of who reads it.")
    name: Key
    policy: CredentialPolicy
    copies: list[Key] = Field(
        default_factory=list, description="Other Secrets with the same login: those of the database's servers."
    )
    spares: list[Key] = Field(
        default_factory=list,
        description="The Secrets of its spares: as `copies`, where they are and name a role of it.",
    )
    servers: list[Key] = Field(
        default_factory=list, description="The database's servers, spares left out: on each of them somebody may be."
    )


class RotateCredential(Credential):
    """One phase of its rotation."""

    token: str = Field(description="Of the new version, in all attempts and phases: pinned by the workflow; a UUID.")
    retired: str = Field(default="", description="What goes in the end: a role, or a version. From `Switched`.")
    effect: Effect


class Switched(Change):
    """The new value is the one that whoever starts from now on reads."""

    retired: str = Field(default="", description="The role or version that is not needed any more.")


class Seen(BaseModel):
    """What was found of a credential, without its value."""

    name: str
    phases: list[str] = Field(description="Of introduce, switch and retire: those that its rotation has.")
    problems: list[str] = Field(default_factory=list, description="Why it can't be rotated; none where it can.")
    told: list[str] = Field(default_factory=list, description="What people should know before they decide.")

    @property
    def overlaps(self) -> bool:
        """Readers accept two values, so they are restarted before and after as well."""
        return "introduce" in self.phases
