"""The workflow ID of a procedure of which a service has one run at a time (ARCHITECTURE, rule 12)."""


def run_id(command: str, service: str) -> str:
    """Give it: alerts and people find the open run by it, so that they join it."""
    return f"{command}/{service}"
