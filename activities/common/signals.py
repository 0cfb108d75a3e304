"""What comes to a run by a signal."""

from pydantic import BaseModel


class Signal(BaseModel):
    """Base of what a signal carries. Nobody hears that one is refused, so the run notes it in its timeline."""
