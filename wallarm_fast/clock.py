"""Time, passed in so that tests do not have to wait."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """Sources of time, all in seconds: `wall` counts from the epoch, `monotonic` from anywhere."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    wall: Callable[[], float] = time.time


@dataclass(frozen=True)
class Deadline:
    """A moment on the monotonic scale of a clock."""

    clock: Clock
    at: float

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> "Deadline":
        """Return the deadline that many seconds from now."""
        return cls(clock, clock.monotonic() + seconds)

    def later(self, seconds: float) -> "Deadline":
        """Return a deadline that many seconds after this one."""
        return Deadline(self.clock, self.at + seconds)

    def reserving(self, seconds: float) -> "Deadline":
        """Return a deadline that many seconds before this one, but not before half of the time is over."""
        return self.later(-min(seconds, self.remaining() / 2))

    def remaining(self) -> float:
        """Return the seconds left, never less than 0."""
        return max(0.0, self.at - self.clock.monotonic())


class Interval:
    """Lets something happen at most once per interval, in seconds."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._clock = clock
        self._seconds = seconds
        self._next = clock.monotonic()

    def due(self) -> bool:
        """Return whether it may happen now, in which case the next interval begins."""
        now = self._clock.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True
