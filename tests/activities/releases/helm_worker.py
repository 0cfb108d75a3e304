"""A process of its own that runs one attempt of `helm.upgrade` or `helm.rollback`, to be killed in the middle.

Arguments: program, kubeconfig, method, and the request as JSON.
"""

import sys
from pathlib import Path

from temporalio.testing import ActivityEnvironment

from activities.kubernetes.api import connect
from activities.releases.helm import Helm, RollbackRelease, UpgradeRelease


def main(program: str, kubeconfig: str, method: str, request: str) -> None:
    model = UpgradeRelease if method == "upgrade" else RollbackRelease
    file = Path(kubeconfig)
    with connect(file) as api:
        helm = Helm(program, api, kubeconfig=file, context=None, directory=Path.cwd())
        ActivityEnvironment().run(getattr(helm, method), model.model_validate_json(request))


if __name__ == "__main__":
    main(*sys.argv[1:])
