"""Files for outputs."""

import logging
import os
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
        _check_not_fifo(path)
        with Path(path).open("a" if append else "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise OutputError(f"the file {path!r} cannot be written: {error.strerror}") from None


def prepare_file(path: str, *, make_folder: bool) -> None:
    """Make sure that a file can be written in its folder, or raise OSError; the file itself is not made.

    Opens it, since there is no other way to be sure. With `make_folder`, that of a relative path is made if
    missing; that of an absolute path would be seen by nobody if this is a container.
    """
    _check_not_fifo(path)
    file = Path(path)
    if make_folder and not file.is_absolute():
        _make_folder(file.parent)
    existed = file.exists()
    file.open("a", encoding="utf-8").close()
    if not existed:  # an empty file is not a report; a link to it stays
        file.resolve().unlink()


def identify_file(path: str) -> object:
    """Return what is the same for all paths of a file, whether it exists or not; None for a device."""
    real = os.path.realpath(path)
    try:
        found = Path(real).stat()
    except OSError:
        return real
    return (found.st_dev, found.st_ino) if Path(real).is_file() else None


def _make_folder(folder: Path) -> None:
    """Make the folder, owned as the one that it is in: in a container, that of a workspace is another."""
    if folder.exists():
        return
    _make_folder(folder.parent)
    folder.mkdir()
    parent = folder.parent.stat()
    if hasattr(os, "chown") and (parent.st_uid, parent.st_gid) != (os.geteuid(), os.getegid()):
        os.chown(folder, parent.st_uid, parent.st_gid)


def _check_not_fifo(path: str) -> None:
    """Raise OSError if the path is a named pipe: opening one could block forever."""
    if Path(path).is_fifo():
        raise OSError(0, "it is a pipe; use a file")
