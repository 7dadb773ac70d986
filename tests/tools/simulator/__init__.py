"""A stand-in of the Wallarm FAST test-run API. Needs nothing but Python."""

from tests.simulator import faults
from tests.simulator.server import Exchange, Request, Simulator
from tests.simulator.state import Record, Rules, Run, State

__all__ = ["Exchange", "Record", "Request", "Rules", "Run", "Simulator", "State", "faults"]
