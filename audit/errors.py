"""What reading evidence can fail with."""


class RunNotFound(Exception):  # noqa: N818  reads as the sentence it is
    """Temporal has no such run: it never had, or its retention has passed."""


class Unreadable(Exception):  # noqa: N818
    """A payload is encrypted and there is no key for it, was redacted, or isn't what it should be."""
