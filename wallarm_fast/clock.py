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

    def earlier(self, seconds: float) -> "Deadline":
        """Return a deadline that many seconds before this one."""
        return Deadline(self.clock, self.at - seconds)

    def reserving(self, seconds: float) -> "Deadline":
        """Return a deadline that many seconds before this one, but not before half of the time is over."""
        return self.earlier(min(seconds, self.remaining() / 2))

    def remaining(self) -> float:
        """Return the seconds left, never less than 0."""
        return max(0.0, self.at - self.clock.monotonic())
