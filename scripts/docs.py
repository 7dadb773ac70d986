# ruff: noqa: INP001  # a script, not a package
"""Generates the actions, the GitLab components and the reference from the tables of inputs and outputs.

`make docs` runs it, and `make lint` checks that nothing is left to write.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import TextWrapper, indent
from typing import Any

import yaml

from wallarm_fast.api.connection import CLOUDS
from wallarm_fast.app import Step
from wallarm_fast.errors import COMMON_ERRORS, SignalError, StepError
from wallarm_fast.inputs.table import Input
from wallarm_fast.outputs.table import Output
from wallarm_fast.start import step as start
from wallarm_fast.stop import step as stop
from wallarm_fast.verdict import step as verdict

ROOT = Path(__file__).resolve().parents[1]
STEPS: Mapping[str, Step] = {"start": start.STEP, "stop": stop.STEP, "verdict": verdict.STEP}
LANGUAGES = {"en": "docs/reference.md", "tr": "docs/reference.tr.md"}
WIDTH = 118
NUMBERS = {"integer": "^([0-9]+)?$", "float": r"^([0-9]+(\.[0-9]+)?)?$"}
# Of a component these are variables: secrets, and files, of which GitLab has to know the names.
NOT_IN_COMPONENTS = {"token", "ca_cert"}


def main() -> int:
    """Write the files, or with --check list those that would change; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if something would change")
    check = parser.parse_args().check
    changed = 0
    for name, text in generate():
        path = ROOT / name
        if not path.exists() or path.read_text("utf-8") != text:
            changed += 1
            print(f"{name} {'is not up to date; run `make docs`' if check else 'is written'}")  # noqa: T201
            if not check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, "utf-8")
    return 1 if check and changed else 0


def generate() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each file."""
    for name, step in STEPS.items():
        action, component = f"{folder(name)}action.yml", f"templates/{step.command}.yml"
        yield action, replace_parts(action, {"inputs": action_inputs(step), "outputs": action_outputs(step)})
        yield f"{folder(name)}action-types.yml", action_types(step)
        parts = {"inputs": component_inputs(step), "variables": component_variables(step)}
        yield component, replace_parts(component, parts)
        yield f"native/{folder(name)}action.yml", native_action(name, step)
    for language, name in LANGUAGES.items():
        yield name, reference(yaml.safe_load((ROOT / f"scripts/docs.{language}.yml").read_text("utf-8")))


def folder(name: str) -> str:
    """Return the folder of a step's action.yml."""
    return "" if name == "stop" else f"{name}/"


def replace_parts(name: str, parts: Mapping[str, str]) -> str:
    """Return a file with the lines between `# generated NAME` and `# end` replaced, at their indentation."""
    text = (ROOT / name).read_text("utf-8")
    for part, content in parts.items():
        marked = re.compile(rf"(?ms)^( *)(# generated {part} .*?\n).*?^ *# end\n")
        if len(marked.findall(text)) != 1:
            sys.exit(f"error: {name} has not one part marked `# generated {part}`")

        def fill_in(found: re.Match[str], content: str = content) -> str:
            return f"{found[1]}{found[2]}{indent(content, found[1])}{found[1]}# end\n"

        text = marked.sub(fill_in, text)
    return text


def folded(key: str, text: str, columns: int) -> str:
    """Return a key of YAML with a text, at this indentation."""
    margin = " " * columns
    wrapper = TextWrapper(WIDTH, margin + "  ", margin + "  ", break_on_hyphens=False, break_long_words=False)
    body = wrapper.fill(text)
    return f"{margin}{key}: >-\n{body}\n"


def sentence(text: str) -> str:
    """Return the text of a table as a sentence."""
    start = text[0] if text.startswith("`") else text[0].upper()  # a value stays as it is
    return f"{start}{text[1:]}.".replace("`", "")


def action_inputs(step: Step) -> str:
    """Return the inputs of an action.yml."""
    text = "inputs:\n"
    for name, spec in step.inputs.items():
        about = f"{sentence(spec.meaning)} Environment variable {spec.variable}. {spec.default_text}"
        text += f"  {name}:\n{folded('description', about, 4)}    required: false\n"
    return text


def action_outputs(step: Step) -> str:
    """Return the outputs of an action.yml."""
    outputs = {name: sentence(spec.meaning) for name, spec in step.outputs.items()}
    outputs["status"] = outputs["status"].replace("(see the exit codes)", f"({', '.join(failures(step))})")
    return "outputs:\n" + "".join(
        f"  {name}:\n{folded('description', about, 4)}" for name, about in outputs.items()
    )


def native_action(name: str, step: Step) -> str:
    """Return the composite action that runs a step without Docker. No input is read by the shell as code."""
    head = yaml.safe_load((ROOT / f"{folder(name)}action.yml").read_text("utf-8"))
    outputs = action_outputs(step)
    for key in step.outputs:
        value = f"    value: ${{{{ steps.run.outputs.{key} }}}}\n"
        outputs = re.sub(rf"(?m)^  {key}:\n", rf"\g<0>{value}", outputs)
    variables = "".join(f"        INPUT_{key.upper()}: ${{{{ inputs.{key} }}}}\n" for key in step.inputs)
    run = "../run.sh" if folder(name) else "run.sh"
    return (
        "# Generated by `make docs`: the same step for runners without Docker.\n"
        "# Releases have native/wallarm-fast.pyz, which it runs; elsewhere `make zipapp` builds it.\n"
        f"name: {head['name']} without Docker\n"
        f"description: {head['description']}\nauthor: {head['author']}\n\n"
        f"{action_inputs(step)}\n{outputs}\n"
        "runs:\n  using: composite\n  steps:\n"
        "    - id: run\n      shell: bash\n"
        f'      run: exec bash "$GITHUB_ACTION_PATH/{run}" {name}\n'
        f"      env:\n{variables}"
    )


def failures(step: Step) -> Sequence[str]:
    """Return the values of the output `status` that tell of a failure."""
    errors: Sequence[type[StepError]] = [*COMMON_ERRORS, *step.errors, SignalError]
    return list(dict.fromkeys(error.status for error in errors))


def action_types(step: Step) -> str:
    """Return an action-types.yml (github.com/typesafegithub/github-actions-typing)."""
    types: Mapping[str, dict[str, Any]] = {
        "list": {"type": "list", "separator": ",", "list-item": {"type": "string"}},
        "region": {"type": "enum", "allowed-values": [*CLOUDS]},
        "file": {"type": "string"},
    }
    inputs = {name: types.get(spec.type, {"type": spec.type}) for name, spec in step.inputs.items()}
    outputs = {name: {"type": spec.type} for name, spec in step.outputs.items()}
    head = "# Generated by `make docs`: types for github.com/typesafegithub/github-actions-typing\n"
    yaml.SafeDumper.ignore_aliases = lambda *_: True  # type: ignore[method-assign]
    return head + yaml.safe_dump({"inputs": inputs, "outputs": outputs}, sort_keys=False)


def component_specs(step: Step) -> Mapping[str, Input]:
    """Return the inputs of the GitLab component."""
    return {
        name: spec
        for name, spec in step.inputs.items()
        if spec.type != "file" and name not in NOT_IN_COMPONENTS
    }


def component_inputs(step: Step) -> str:
    """Return the inputs of a component. An empty one leaves the value to the variable."""
    text = ""
    for name, spec in component_specs(step).items():
        variable = spec.type == "list" and spec.variable == name.upper() and "copy" not in spec.otherwise
        about = f"{sentence(spec.meaning)} Default: the variable {spec.variable}"
        about += f", else {spec.default}." if spec.default else "."
        default = f"${spec.variable}" if variable else '""'
        text += f"{name}:\n  default: {default}\n{folded('description', about, 2)}"
        if spec.type in ("boolean", "region"):
            options = ["", "true", "false"] if spec.type == "boolean" else ["", *CLOUDS]
            text += f"  options: [{', '.join(f'{chr(34)}{option}{chr(34)}' for option in options)}]\n"
        elif spec.type in NUMBERS:
            text += f"  regex: {NUMBERS[spec.type]}\n"
    return text


def component_variables(step: Step) -> str:
    """Return the variables of the component's job that pass its inputs to the step."""
    return "".join(f'INPUT_{name.upper()}: "$[[ inputs.{name} ]]"\n' for name in component_specs(step))


def reference(texts: Mapping[str, Any]) -> str:
    """Return the reference of all steps, in the language of the texts."""
    parts = [texts["head"]]
    for name, step in STEPS.items():
        own = {"inputs": {}, "outputs": {}, "exit_codes": {}, **texts[name]}
        inputs = (input_row(key, spec, texts, own) for key, spec in step.inputs.items())
        outputs = (output_row(key, spec, texts, own) for key, spec in step.outputs.items())
        parts += [
            f"## {own['title']}\n\n{own['intro']}",
            table(texts["input_columns"], inputs),
            table(texts["output_columns"], outputs),
            table(texts["exit_columns"], exit_rows(step, texts, own)),
        ]
    return "\n".join(part.rstrip("\n") + "\n" for part in [*parts, texts["foot"]])


def table(columns: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = (f"| {' | '.join(row)} |\n" for row in (columns, *rows))
    return next(lines) + f"|{'---|' * len(columns)}\n" + "".join(lines)


def code(text: str) -> str:
    """Return the text with the names of inputs as code."""
    names = "|".join(n for step in STEPS.values() for n in (*step.inputs, *step.outputs) if "_" in n)
    return re.sub(rf"(?<![`\w])({names}|fromJSON)(?![`\w])", r"`\1`", text)


def worded(translation: str | None, english: str, texts: Mapping[str, Any]) -> str:
    """Return the translation, or in English the text of the code."""
    if not translation and texts["translated"]:
        sys.exit(f"error: not translated: {english}")
    return translation or code(english)


def input_row(name: str, spec: Input, texts: Mapping[str, Any], own: Mapping[str, Any]) -> Sequence[str]:
    """Return the cells of an input."""
    default = f"`{spec.default}`"
    if not spec.default:
        default = worded(texts["defaults"].get(spec.otherwise), spec.otherwise, texts)
    if spec.gitlab_file:
        default = texts["in_gitlab"].format(file=f"`{spec.gitlab_file}`", otherwise=default)
    translation = own["inputs"].get(name) or texts["inputs"].get(name)
    return f"`{name}`", f"`{spec.variable}`", default, worded(translation, spec.meaning, texts)


def output_row(name: str, spec: Output, texts: Mapping[str, Any], own: Mapping[str, Any]) -> Sequence[str]:
    """Return the cells of an output."""
    meaning = worded(own["outputs"].get(name), spec.meaning, texts)
    return f"`{name}`", f"`{spec.variable}`" if spec.variable else "-", meaning


def exit_rows(step: Step, texts: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """Yield the cells of each exit code: code, status, meaning, what to do."""
    yield "0", own["success"], own["succeeded"], ""
    errors = {error.exit_code: error.status for error in (*COMMON_ERRORS, *step.errors)}
    for number, status in sorted(errors.items()):
        meaning, advice = own["exit_codes"].get(number) or texts["exit_codes"][number]
        yield str(number), f"`{status}`", meaning, advice
    yield "130, 143", f"`{SignalError.status}`", *texts["exit_codes"]["signal"]


if __name__ == "__main__":
    sys.exit(main())
