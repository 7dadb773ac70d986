"""The start step, on the clock of the simulator."""

import pytest

from tests.harness import InProcess
from tests.tools.simulator import Simulator


@pytest.fixture
def start(start: InProcess, sim: Simulator) -> InProcess:
    """The step; it creates the run 5081."""
    sim.state.clock = start.clock.monotonic
    return start
