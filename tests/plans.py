"""What the API says of a run, from one look to the next, while its security tests go on."""

from tests.tools.simulator import Simulator, faults
from tests.tools.simulator.state import View

GOING: View = {"state": "running", "baseline_check_all_terminated_count": 2}
TESTED: View = {
    "state": "passed",
    "baseline_check_all_terminated_count": 5,
    "baseline_check_passed_count": 5,
    "baseline_check_fail_count": 0,
}
FAILED: View = {**TESTED, "state": "failed", "baseline_check_fail_count": 1}
XSS = {"id": 7, "threat": 70, "code": "xss", "type": "Cross-site scripting"}
INFO = {"id": 8, "threat": 20, "code": "info", "type": "Information exposure"}
# Responses to a create that do not tell of the run that was created.
LOST = {
    "reset": faults.reset_after(),
    "cut": faults.cut(),
    "closed": faults.close_without_answer(),
    "408": faults.answer(408, act=True),
    "502": faults.answer(502, act=True),
    "not JSON": faults.answer(200, "<html>", act=True),
    "no id": faults.envelope(200, {"state": "cloning"}, act=True),
    "odd id": faults.envelope(200, {"id": "../x"}, act=True),
}


def plan(sim: Simulator, *views: View, run: int = 5080) -> None:
    """Let each look at the run see the next of these; the last one stays."""
    for number, view in enumerate(views, start=1):
        body = {"id": run, "test_record_id": 9058, "baseline_count": 5, "node_active": True, "vulns": []}
        sim.faults.add(faults.envelope(200, body | view), "GET", None if number == len(views) else 1, run)
