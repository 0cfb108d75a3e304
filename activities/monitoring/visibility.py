"""What Temporal's visibility can be asked for by name."""

_UNQUOTABLE = set("\"'`\\")


def can_be_quoted(text: str) -> bool:
    """Tell whether a text can stand in a query; what can't is compared afterwards, in what a wider query lists."""
    return not set(text) & _UNQUOTABLE
