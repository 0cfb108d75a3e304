"""Tests of a running service that settings name (runbook 4.1 step 5, 7.2 step 5)."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from activities.catalogue.base import ServicePolicy
from activities.common.text import Key, Link, Words


class SmokeCheck(ServicePolicy):
    """One HTTP request whose answer tells that a service works."""

    name: Key
    url: Link
    method: Literal["GET", "HEAD", "POST"] = "GET"
    expect_status: int = Field(default=200, ge=100, le=599)
    contains: Words | None = Field(default=None, description="Text that the answer's body must have in it.")
    timeout: timedelta = timedelta(seconds=10)


class SmokeJob(ServicePolicy):
    """A Kubernetes Job that tests a service; complete is passed."""

    image: Key
    command: tuple[Words, ...] = ()
    env: dict[Key, Words] = Field(default_factory=dict, description="No secrets: it stands in history.")
    service_account: Key | None = None
    timeout: timedelta = Field(default=timedelta(minutes=10), gt=timedelta(0))
