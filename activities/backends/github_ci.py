"""CI status from GitHub: the check runs and commit statuses of a version's tag or commit."""

import httpx
from pydantic import SecretStr

from activities.ci import CiRequest, CiStatus


class GitHubCi:
    """GitHub's REST API; works with GitHub Enterprise by its base URL."""

    def __init__(self, http: httpx.Client, token: SecretStr, base_url: str) -> None:
        self._http = http
        self._token = token
        self._base_url = base_url

    def status(self, request: CiRequest) -> CiStatus:
        """Sum up all checks of the version, a Git ref of the repository."""
        raise NotImplementedError
