"""What a person did or met that a sentence can explain; the command line prints it and no traceback."""


class Problem(Exception):  # noqa: N818  a problem, as in the webhook's answers
    """A sentence for the person, and the command's exit code."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
