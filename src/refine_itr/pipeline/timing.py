"""What a batch of b items takes, learnt while it goes on: t + a b."""

from __future__ import annotations

_MEMORY = 0.97  # share that the past keeps at each new batch: it counts for some thirty of them


class BatchTiming:
    """A least-squares line through batch sizes and seconds that forgets old ones."""

    def __init__(self) -> None:
        self._weight = self._size = self._seconds = self._size_size = self._size_seconds = 0.0

    def add(self, size: int, seconds: float) -> None:
        """Takes one more batch into account."""
        self._weight = _MEMORY * self._weight + 1
        self._size = _MEMORY * self._size + size
        self._seconds = _MEMORY * self._seconds + seconds
        self._size_size = _MEMORY * self._size_size + size * size
        self._size_seconds = _MEMORY * self._size_seconds + size * seconds

    def line(self) -> tuple[float, float]:
        """Returns t and a, neither negative; zeros before the first batch.

        Batches of one size only say nothing of t: it is then taken as zero.
        """
        if not self._weight:
            return 0.0, 0.0
        mean_size, mean = self._size / self._weight, self._seconds / self._weight
        spread = self._size_size / self._weight - mean_size**2
        if spread < 1e-3 * mean_size**2:
            return 0.0, mean / mean_size
        slope = (self._size_seconds / self._weight - mean_size * mean) / spread
        slope = min(max(slope, 0.0), mean / mean_size)
        return mean - slope * mean_size, slope

    def expected(self, size: int) -> float:
        """Returns the seconds that a batch of ``size`` items should take."""
        setup, per_item = self.line()
        return setup + per_item * size
