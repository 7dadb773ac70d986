"""Start the simulator alone: `python3 -m tests.simulator --help`, or `python3 tests/simulator --help`."""

import argparse
import signal
import ssl
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

if not __package__:  # started by its folder, which then is all that Python looks in
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.simulator import Simulator


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="simulator", description="stand-in of the Wallarm FAST API")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--name", default="", help="host name in the URL it prints")
    parser.add_argument("--token", default="token_Qwe12345")
    parser.add_argument("--baselines", type=int, default=0, help="recorded by every new run")
    parser.add_argument("--arrival-seconds", type=float, default=0.0, help="in which they arrive")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--tls-cert", type=Path)
    parser.add_argument("--tls-key", type=Path, help="not needed if it is in the certificate's file")
    parser.add_argument("--log", type=Path, help="gets one line a request: method, path, status")
    parser.add_argument("--url-file", type=Path, help="gets the URL once it listens")
    args = parser.parse_args()

    tls = None
    if args.tls_cert:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(args.tls_cert, args.tls_key)
    ends = {signal.SIGTERM, signal.SIGINT}
    # Blocked before any thread starts, so that only sigwait sees them; as process 1 of a container too.
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with ExitStack() as stack:
        log = None
        if args.log:
            log = partial(print, file=stack.enter_context(args.log.open("a", encoding="utf-8")), flush=True)
        simulator = stack.enter_context(
            Simulator(
                token=args.token,
                tls=tls,
                host=args.host,
                port=args.port,
                name=args.name,
                latency=args.latency,
                log=log,
                baselines=args.baselines,
                arrival_seconds=args.arrival_seconds,
            )
        )
        if args.url_file:
            args.url_file.write_text(simulator.url, encoding="utf-8")
        print(f"simulator listening on {simulator.url}", flush=True)
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
