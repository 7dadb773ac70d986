"""Makes one change to the code at a time, in a copy of the project, and lists those that no test notices."""

import argparse
import ast
import os
import random
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "wallarm_fast"
TIME_LIMIT = 900.0  # seconds for the tests of one mutant
WORKERS = 2  # mutants tested at the same time
NOT_COPIED = shutil.ignore_patterns(".venv", ".build", ".*_cache", ".hypothesis", "__pycache__")
PYTEST = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "--tb=no", "-p", "no:cacheprovider"]
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or,
    ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
}  # fmt: skip
Edit = tuple[ast.AST, str, object, int]  # a syntax node, its field to change, the new value, the line
Mutant = tuple[Path, str, str]  # the module, its source with a change, the change


def choose_mutants(count: int, seed: int) -> list[Mutant]:
    trees = {path: ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
    places = [(p, edit) for p, tree in trees.items() for node in ast.walk(tree) for edit in edits_of(node)]
    chosen = random.Random(seed).sample(places, min(count, len(places)))
    print(f"{len(places)} mutants are possible, {len(chosen)} are chosen")
    return [make_mutant(path.relative_to(ROOT), trees[path], edit) for path, edit in chosen]


def edits_of(node: ast.AST) -> Iterator[Edit]:  # noqa: C901 - a case for each kind of change
    line = getattr(node, "lineno", 0)
    match node:
        case ast.Compare(ops=[operator, *others]):
            yield node, "ops", [SWAPS[type(operator)](), *others], line
        case ast.BoolOp(op=operator) | ast.BinOp(op=operator) if type(operator) in SWAPS:
            yield node, "op", SWAPS[type(operator)](), line
        case ast.Constant(value=bool(value)):
            yield node, "value", not value, line
        case ast.Constant(value=int(number) | float(number)):
            yield node, "value", number + 1, line
        case ast.UnaryOp(op=ast.Not()):
            yield node, "operand", ast.UnaryOp(ast.Not(), node.operand), line
        case ast.Return(value=ast.expr() as result) if ast.unparse(result) != "None":
            yield node, "value", ast.Constant(None), line
        case ast.If(test) | ast.IfExp(test) | ast.While(test):
            values = [value for value in (True, False) if ast.unparse(test) != str(value)]
            yield from ((node, "test", ast.Constant(value), line) for value in values)
    for field, block in ast.iter_fields(node):
        for index, child in enumerate(block if isinstance(block, list) else []):
            match child:
                case ast.Raise() | ast.AugAssign() | ast.Break() | ast.Continue() | ast.Expr(ast.Call()):
                    yield node, field, [*block[:index], ast.Pass(), *block[index + 1 :]], child.lineno
                case ast.Assign([ast.Attribute(), *_]):
                    yield node, field, [*block[:index], ast.Pass(), *block[index + 1 :]], child.lineno


def make_mutant(module: Path, tree: ast.Module, edit: Edit) -> Mutant:
    node, field, value, line = edit
    original, old = ast.unparse(tree), getattr(node, field)
    setattr(node, field, value)
    source = ast.unparse(tree)
    setattr(node, field, old)
    lines = zip(original.splitlines(), source.splitlines(), strict=False)
    before, after = next((before.strip(), after.strip()) for before, after in lines if before != after)
    start = next((i for i in range(len(after)) if before[: i + 1] != after[: i + 1]), 0)
    shown = (text[max(0, start - 60) :][:140] for text in (before, after))  # what is around the change
    return module, source, "{}:{}\n    - {}\n    + {}".format(module, line, *shown)


def run_tests(project: Path, module: Path) -> str:
    """Run those of the module first; return the first test that fails, or "" if all pass."""
    tests = [file.relative_to(project) for file in project.rglob("tests/**/test_*.py")]
    tests.sort(key=lambda file: (file.stem != f"test_{module.stem}", file))
    command = [*PYTEST, *(str(file) for file in tests if "e2e" not in file.parts)]
    process = Popen(command, cwd=project, stdout=PIPE, text=True, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=TIME_LIMIT)
    except TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return "the time limit"
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    return failed[1] if failed else f"exit code {process.returncode}" if process.returncode else ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.tools.mutants", description=__doc__)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    args = parser.parse_args()
    mutants = choose_mutants(args.count, args.seed)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(WORKERS) as pool:
        unchanged = shutil.copytree(ROOT, Path(folder, "unchanged"), ignore=NOT_COPIED)
        if problem := run_tests(unchanged, Path("unchanged")):
            raise SystemExit(f"the tests fail without any change: {problem}")

        def survivor(number: int) -> int | None:
            module, source, change = mutants[number]
            project = shutil.copytree(unchanged, Path(folder, str(number)))
            (project / module).write_text(source, "utf-8")
            killer = run_tests(project, module)
            shutil.rmtree(project, ignore_errors=True)
            print(number, f"killed by {killer}:" if killer else "SURVIVED:", change, flush=True)
            return None if killer else number

        survivors = [number for number in pool.map(survivor, range(len(mutants))) if number is not None]
    print(f"{len(mutants) - len(survivors)} of {len(mutants)} killed; survivors: {survivors}")


if __name__ == "__main__":
    main()
