"""Time, passed in, so that tests need not wait for it."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """Where time comes from, all in seconds."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    wall: Callable[[], float] = time.time


@dataclass(frozen=True)
class Deadline:
    """A moment on a clock's monotonic scale."""

    clock: Clock
    at: float

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> "Deadline":
        """Return the moment that many seconds from now."""
        return cls(clock, clock.monotonic() + seconds)

    def earlier(self, seconds: float) -> "Deadline":
        """Return the moment that many seconds before this one."""
        return Deadline(self.clock, self.at - seconds)

    def remaining(self) -> float:
        """Return the seconds left, never below 0."""
        return max(0.0, self.at - self.clock.monotonic())
