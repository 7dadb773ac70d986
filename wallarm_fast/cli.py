"""The command line of the steps: --help and --version."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from textwrap import fill
from typing import NoReturn

from wallarm_fast import __version__
from wallarm_fast.app import Step
from wallarm_fast.errors import COMMON_ERRORS, InputError
from wallarm_fast.inputs.table import TOKEN_FILE_VARIABLE

_WIDTH = 100


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(InputError.exit_code, "error: inputs are environment variables; see --help\n")


def run_cli(step: Step, arguments: Sequence[str]) -> int:
    """Print what the arguments ask for, and return the exit code of the process."""
    parser = _Parser(
        prog=step.command,
        description=f"{step.purpose}\nThe commands are start-recording, stop-recording and fast-verdict.",
        epilog=describe(step),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    try:
        parser.parse_args(arguments)
        parser.error("nothing to do")
    except SystemExit as end:
        with suppress(OSError):  # nobody reads it
            sys.stdout.flush()
        return int(end.code or 0)


def describe(step: Step) -> str:
    """Return the inputs, the outputs and the exit codes as text."""
    inputs = {
        f"{name}, {spec.variable}": f"{spec.meaning}. {spec.default_text}"
        for name, spec in step.inputs.items()
    }
    outputs = {
        f"{name}, {spec.variable}" if spec.variable else name: spec.meaning
        for name, spec in step.outputs.items()
    }
    errors = {error.exit_code: error.title for error in (*COMMON_ERRORS, *step.errors)}
    codes = {
        "0": "Success",
        **{str(code): errors[code] for code in sorted(errors)},
        "130, 143": "Interrupted",
    }
    return (
        "An input is taken from INPUT_<NAME>, else from the environment variable, else from the default.\n\n"
        f"inputs:\n{_list(inputs)}\n{TOKEN_FILE_VARIABLE} may name a file that holds the token.\n\n"
        f"outputs:\n{_list(outputs)}\n"
        f"exit codes:\n{_indent(', '.join(f'{code} {title}' for code, title in codes.items()), 2)}\n\n"
        f"example:\n  {step.example}"
    )


def _list(texts: Mapping[str, str]) -> str:
    return "".join(f"  {name}\n{_indent(text.replace('`', ''), 6)}\n" for name, text in texts.items())


def _indent(text: str, columns: int) -> str:
    return fill(text, _WIDTH, initial_indent=" " * columns, subsequent_indent=" " * columns)
