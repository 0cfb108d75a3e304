"""Runs a version's SQL file."""

from pathlib import Path

from alembic import op


def run_beside(version: str) -> None:
    """Run the `.sql` file beside a version's `__file__`, as it stands."""
    script = Path(version).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(script)
