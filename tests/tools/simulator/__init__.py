"""A simulator of the Wallarm FAST test-run API. Needs nothing but Python."""

from tests.tools.simulator import faults
from tests.tools.simulator.server import Exchange, Simulator

__all__ = ["Exchange", "Simulator", "faults"]
