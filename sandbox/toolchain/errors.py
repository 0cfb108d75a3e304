"""What can go wrong on the way to a program."""


class ToolchainError(Exception):
    """A program cannot be had; the message says what to do about it."""


class ChecksumMismatch(ToolchainError):  # noqa: N818 - reads as the sentence it is
    """What was downloaded is not what its publisher's checksum names; nothing of it is kept."""


class NotPublished(ToolchainError):  # noqa: N818
    """The publisher has no such file, or no checksum for it."""


class NotReached(ToolchainError):  # noqa: N818
    """The publisher does not answer, or breaks off."""
