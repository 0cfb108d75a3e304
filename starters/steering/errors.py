"""What goes wrong when somebody steers a run, whatever they steer it from.

The command line makes exit codes of these, a page would make HTTP statuses. Each is a sentence for people.
"""


class SteeringError(Exception):
    """What was asked was not done, and why."""


class NoSuchRun(SteeringError):
    """Nobody knows the run, or Temporal no longer keeps it."""


class Refused(SteeringError):
    """The run has ended, or refuses in its own words; nothing was changed."""


class WrongInput(SteeringError):
    """What was typed can't be meant; nothing was sent."""


class Unreachable(SteeringError):
    """Temporal, or the run's workers, don't answer."""


class Over(Refused):
    """The run has ended."""


class Decided(Refused):
    """The question has been decided; says by whom, when and what."""


class NothingAsked(Refused):
    """The run asks nothing now."""


class WrongQuestion(Refused):
    """Another question is asked; names those that are."""


class WrongChoice(Refused):
    """The choice isn't offered; names those that are."""
