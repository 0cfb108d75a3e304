"""What a run is begun with, and what comes to it by a signal."""

from pydantic import BaseModel


class Refusable(BaseModel):
    """Base of what comes to a run when nobody waits for a refusal, so that the run itself has to say what was wrong.

    Where it doesn't decode, `workers.converter` lets it through as `Undecodable`, and `workers.interceptors` refuses
    it: a signal is noted in the timeline; a run fails with a sentence, and its status can be read all the same.
    """
