"""A process of its own that runs one attempt of `postgres.vacuum` or `postgres.reindex`, to be killed in the middle.

Arguments: method, and the request as JSON; the database's URL comes on its input.
"""

import sys

from temporalio.testing import ActivityEnvironment

from activities.database.upkeep.postgres import Postgres, ReindexIndex, VacuumTable
from tests.activities.database.on_postgres import databases


def main(method: str, request: str) -> None:
    postgres = Postgres(databases(primary=sys.stdin.read()))
    model = VacuumTable if method == "vacuum" else ReindexIndex
    ActivityEnvironment().run(getattr(postgres, method), model.model_validate_json(request))


if __name__ == "__main__":
    main(*sys.argv[1:])
