"""Tests of a running service that settings name (runbook 4.1 step 5, 7.2 step 5)."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from activities.catalogue.base import ServicePolicy
from activities.common.text import Key, Link, Words


class SmokeCheck(ServicePolicy):
    """One HTTP request whose answer tells that a service works."""

    name: Key = Field(description="As it is told.")
    url: Link = Field(description="What is asked.")
    method: Literal["GET", "HEAD", "POST"] = Field(default="GET", description="Of HTTP.")
    expect_status: int = Field(default=200, ge=100, le=599, description="Any other has failed.")
    contains: Words | None = Field(default=None, description="Text that the answer's body must have in it.")
    timeout: timedelta = Field(default=timedelta(seconds=10), description="For the whole answer.")


class SmokeJob(ServicePolicy):
    """A Kubernetes Job that tests a service; complete is passed."""

    image: Key = Field(description="With its tag or digest.")
    command: tuple[Words, ...] = Field(default=(), description="In place of the image's own.")
    env: dict[Key, Words] = Field(default_factory=dict, description="No secrets: it stands in history.")
    service_account: Key | None = Field(default=None, description="Of its pod; the namespace's default otherwise.")
    timeout: timedelta = Field(default=timedelta(minutes=10), gt=timedelta(0), description="Until it counts as failed.")
