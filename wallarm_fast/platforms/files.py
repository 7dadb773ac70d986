"""Files for outputs."""

import logging
from collections.abc import Mapping
from pathlib import Path

from wallarm_fast.errors import OutputError

# GitLab refuses a dotenv report of more than 5 KB.
DOTENV_LIMIT = 5 * 1024 - 1
_log = logging.getLogger(__name__)


def format_dotenv(variables: Mapping[str, str]) -> str:
    """Return the variables as lines of `NAME=value`."""
    return "".join(f"{name}={value}\n" for name, value in variables.items())


def write_dotenv(path: str, variables: Mapping[str, str]) -> None:
    """Write a dotenv file of less than 5 KB; if that is too small, the longest variables are left out."""
    kept = dict(variables)
    while len(format_dotenv(kept)) > DOTENV_LIMIT:
        longest = max(kept, key=lambda name: len(kept[name]))
        del kept[longest]
        _log.warning("%s does not fit into %s, which must stay under 5 KB, and is left out", longest, path)
    write_file(path, format_dotenv(kept))


def write_file(path: str, text: str, *, append: bool = False) -> None:
    """Write a file; raises OutputError, which names it, if that fails."""
    try:
        check_not_fifo(path)
        with Path(path).open("a" if append else "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise OutputError(f"the file {path!r} cannot be written: {error.strerror}") from None


def check_writable(path: str) -> None:
    """Raise OSError if the file cannot be written. Opens it, since there is no other way to be sure."""
    check_not_fifo(path)
    file = Path(path)
    existed = file.exists()
    file.open("a", encoding="utf-8").close()
    if not existed:  # an empty file is not a report
        file.unlink()


def check_not_fifo(path: str) -> None:
    """Raise OSError if the path is a named pipe: opening one could block forever."""
    if Path(path).is_fifo():
        raise OSError(0, "it is a pipe; give a file")
