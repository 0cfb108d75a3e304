"""Versions whose checks are asked for."""

import secrets

from activities.releases.ci import CiRequest

TOKEN = secrets.token_hex(16)


REPOSITORY = "tensafe/tensafe-server"


V = "v1.2.4"


def of(version: str = V, repository: str | None = REPOSITORY) -> CiRequest:
    return CiRequest(service="tensafe-server", version=version, repository=repository)
