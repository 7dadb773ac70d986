"""Run the simulator on its own: `python3 -m tests.tools.simulator`, or `python3 tests/tools/simulator`."""

import argparse
import math
import os
import signal
import ssl
import sys
from functools import partial
from pathlib import Path

if not __package__:  # started by its folder, which is then the only place where Python looks
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.tools.simulator import Simulator


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="simulator", description="Simulates the Wallarm FAST API.")
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=int, default=0, help="default: any free port")
    add("--token", default="token_Qwe12345", help="token of the FAST node")
    add("--other-tokens", nargs="*", default=[], help="tokens of more nodes of the account")
    add("--baselines", type=int, default=0, help="baselines that each new run records")
    add("--test-seconds", type=float, default=math.inf, help="until the tests are done; default: endless")
    add("--no-node", dest="node_active", action="store_false", help="no container of the FAST node runs")
    add("--vulnerability", type=int, metavar="THREAT", help="threat, 1 to 100, of what the tests find")
    add("--latency", type=float, default=0.0, help="seconds before each answer")
    add("--tls-cert", type=Path, help="PEM file of a certificate and its key; turns TLS on")
    add(
        "--log", default=os.devnull, type=Path, help="file that gets a line per request: method, path, status"
    )
    add("--url-file", default=os.devnull, type=Path, help="file that gets the URL once the simulator listens")
    options = vars(parser.parse_args())
    certificate, log, url_file = (options.pop(name) for name in ("tls_cert", "log", "url_file"))
    threat = options.pop("vulnerability")
    options["vulns"] = [{"id": 1, "threat": threat, "type": "Simulated"}] if threat else []

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
    if tls:
        tls.load_cert_chain(certificate)
    # Blocked before any thread starts, so that only sigwait gets them; also as process 1 of a container.
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with log.open("a", encoding="utf-8") as stream:
        try:
            simulator = Simulator(tls=tls, log=partial(print, file=stream, flush=True), **options)
        except OSError as error:
            sys.exit(f"error: cannot listen on {options['host']} port {options['port']}: {error.strerror}")
        with simulator:
            url_file.write_text(simulator.url, encoding="utf-8")
            print(f"simulator listening on {simulator.url}", flush=True)
            signal.sigwait(signals)


if __name__ == "__main__":
    main()
