"""Where the value of an input comes from: the action's input, an environment variable, or the default."""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from wallarm_fast.errors import InputError
from wallarm_fast.inputs import parsers

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
TOKEN_FILE_VARIABLE = "WALLARM_API_TOKEN_FILE"  # noqa: S105 - a name, not a token
Type = Literal["string", "list", "region", "boolean", "integer", "float", "file"]


@dataclass(frozen=True)
class Input:
    """An input: the environment variable that may stand in for it, its meaning in a line, and its default.

    `otherwise` says in words what happens without a value and a default, `gitlab_file` is the default in
    GitLab CI of a file.
    """

    variable: str
    meaning: str
    default: str = ""
    otherwise: str = "none"
    type: Type = "string"
    gitlab_file: str = ""

    @property
    def default_text(self) -> str:
        """What happens without a value, as a sentence."""
        text = self.default or self.otherwise.replace("`", "")
        text = text.capitalize() if text.startswith("required") else f"Default: {text}"
        return f"{text}, in GitLab CI {self.gitlab_file}." if self.gitlab_file else f"{text}."


# Every step has these.
TOKEN = Input("WALLARM_API_TOKEN", "token of the FAST node", otherwise="required")


def read_input(environ: Mapping[str, str], name: str, spec: Input) -> str:
    """Return the trimmed value of INPUT_<NAME>, the variable or the default, whichever is first not blank."""
    upper = name.upper()
    for key in (f"INPUT_{upper}", f"INPUT_{upper.replace('_', '-')}", spec.variable):
        if value := environ.get(key, "").strip():
            return value
    return spec.default


def read_token(environ: Mapping[str, str]) -> str:
    """Return the token as it was given, valid or not, so that it can be masked; "" if there is none."""
    try:
        return _find_token(environ)
    except ValueError:
        return ""


class InputReader:
    """Reads the inputs of a table and collects what is wrong with them.

    `problems` keep the step from running, `warnings` do not.
    """

    def __init__(self, table: Mapping[str, Input], environ: Mapping[str, str]) -> None:
        self.table = table
        self.environ = environ
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.token = self._given_token = ""
        try:
            self._given_token = _find_token(environ)
            self.token = parsers.parse_token(self._given_token)
        except ValueError as problem:
            self.reject("token", str(problem))

    def given(self, name: str) -> str:
        """Return the text of an input, valid or not, or its default."""
        return read_input(self.environ, name, self.table[name])

    def is_given(self, name: str) -> bool:
        """Tell whether an input has a value of its own, valid or not."""
        return bool(read_input(self.environ, name, replace(self.table[name], default="")))

    def read(self, name: str, parse: Callable[[str], _T], fallback: _T) -> _T:
        """Return the parsed value of an input; if it is invalid, note that and return the fallback."""
        return self.check(name, self.given(name), parse, fallback)

    def read_optional(self, name: str, parse: Callable[[str], _T]) -> _T | None:
        """Return the parsed value of an input, or None if it is invalid or has neither value nor default."""
        text = self.given(name)
        return self.check(name, text, parse, None) if text else None

    def check(self, name: str, text: str, parse: Callable[[str], _T], fallback: _T) -> _T:
        """Return the parsed text; if it is invalid, note that under this name and return the fallback."""
        try:
            # Addresses, ids and invalid values are shown.
            parsers.refuse_token(text, self._given_token)
            return parse(text)
        except ValueError as problem:
            self.reject(name, str(problem))
            return fallback

    def reject(self, name: str, problem: str) -> None:
        """Note what is wrong with an input; names its environment variable, too."""
        variable = f" ({self.table[name].variable})" if name in self.table else ""
        self.problems.append(f"{name}{variable}: {problem}")

    def warn(self, warning: str) -> None:
        """Note what may not be meant."""
        self.warnings.append(warning)

    def warn_of_unknown(self, prefix: str, known: Collection[str]) -> None:
        """Warn of variables with this prefix that are neither inputs nor known: they are misspelled."""
        # What all names begin with would make them look alike.
        variables = {spec.variable.removeprefix(prefix): spec.variable for spec in self.table.values()}
        for name in self.environ:
            if name.startswith(prefix) and name not in variables.values() and name not in known:
                import difflib  # noqa: PLC0415 - rarely needed

                close = difflib.get_close_matches(name.removeprefix(prefix), variables, n=1)
                hint = f"; did you mean {variables[close[0]]}?" if close else ""
                self.warn(f"the variable {name} is unknown and ignored{hint}")

    def finish(self) -> None:
        """Log the warnings, which may explain the problems; raises InputError if there are any of these."""
        for warning in self.warnings:
            _log.warning("%s", warning)
        if self.problems:
            raise InputError(*self.problems)


def _find_token(environ: Mapping[str, str]) -> str:
    path = environ.get(TOKEN_FILE_VARIABLE, "").strip()
    if (token := read_input(environ, "token", TOKEN)) or not path:
        return token
    try:
        return parsers.read_small_file(path).strip()
    except ValueError as problem:
        # The path is not shown: it may be the token itself, put into the wrong variable.
        raise ValueError(f"the file that {TOKEN_FILE_VARIABLE} names {problem}") from None
