"""A service's figures, error rate and latency, and how a breach of them is told from a spike."""

from pydantic import BaseModel

from audit.wording import duration, percent


class Figures(BaseModel):
    """Error rate (0 to 1) and p95 latency (seconds); None: no data."""

    error_rate: float | None = None
    p95_latency: float | None = None

    def __str__(self) -> str:
        """For example `error rate 0.10 %, p95 41 ms`."""
        return f"error rate {percent(self.error_rate)}, p95 {duration(self.p95_latency)}"


class Breaches:
    """Tells a breach from a spike: how long each figure has been beyond its limit, as far as it was seen."""

    def __init__(self, seconds: dict[str, float], enough: float) -> None:
        self._seconds = seconds
        self._enough = enough
        self._seen_beyond_at: dict[str, float] = {}
        self._why: dict[str, str] = {}
        self.broken = False

    def see(self, elapsed: float, judged: dict[str, str | None]) -> bool:
        """Take a sample, and tell whether there is a breach by now.

        `judged` says what each figure breaks: "" for nothing, None where it is unknown.
        """
        for figure, why in judged.items():
            before = self._seen_beyond_at.pop(figure, None)
            if why is None:
                continue
            if not why:
                self._seconds.pop(figure, None)
                self._why.pop(figure, None)
                continue
            seen = self._seconds.get(figure, 0.0) + (elapsed - before if before is not None else 0.0)
            self._seconds[figure] = seen
            self._seen_beyond_at[figure] = elapsed
            self._why[figure] = f"{why} for {seen:.0f} s"
            self.broken = self.broken or seen >= self._enough
        return self.broken

    @property
    def told(self) -> str:
        """Which figures are beyond their limits, those that are a breach alone where there are any."""
        those = [why for figure, why in self._why.items() if not self.broken or self._seconds[figure] >= self._enough]
        return "; ".join(those)


def worse(one: Figures, other: Figures) -> Figures:
    """Give the worse of each figure."""

    def most(*values: float | None) -> float | None:
        return max((value for value in values if value is not None), default=None)

    return Figures(
        error_rate=most(one.error_rate, other.error_rate), p95_latency=most(one.p95_latency, other.p95_latency)
    )
