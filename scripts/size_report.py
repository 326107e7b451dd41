"""Print how large functions and files are, so that the trend shows; it reports and never fails.

Aims: body median <= 8 lines, 90th percentile <= 30, none over 60; files <= 400 lines; at most 6 parameters;
as many lines of tests as of code, or nearly. Docstrings, comments and blank lines do not count in a body.
"""

from __future__ import annotations

import ast
import io
import statistics
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORST = 5
AIMS = {"median": 8, "90th percentile": 30, "longest": 60, "longest file": 400, "most parameters": 6}


@dataclass(frozen=True)
class Function:
    """A function's place, the lines of code in its body and its parameters."""

    where: str
    body: int
    parameters: int


def main() -> None:
    """Print the table and the functions and files that are largest."""
    sources, tests = python_files("src"), python_files("tests")
    functions = [function for file in sources for function in functions_of(file)]
    if not functions:
        print("no functions under src/")
        return
    lengths = {str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines()) for file in sources}
    for name, value in measures(functions, lengths).items():
        verdict = "" if value <= AIMS[name] else "  over"
        print(f"{name:<18}{value:>6}   aim <= {AIMS[name]}{verdict}")
    code, test = (sum(len(code_lines(file)) for file in files) for files in (sources, tests))
    print(f"{'tests : code':<18}{test / code:>6.2f}   {test} : {code} lines of code in {len(lengths)} files")
    worst_bodies = sorted(functions, key=lambda function: -function.body)[:WORST]
    print("longest bodies    " + ", ".join(f"{f.where} ({f.body})" for f in worst_bodies))
    worst_files = sorted(lengths.items(), key=lambda item: -item[1])[:WORST]
    print("longest files     " + ", ".join(f"{name} ({lines})" for name, lines in worst_files))


def python_files(folder: str) -> list[Path]:
    """Python files below a folder of the project, in order."""
    return sorted((ROOT / folder).rglob("*.py"))


def measures(functions: list[Function], lengths: dict[str, int]) -> dict[str, int]:
    """The figures that have an aim, by the names of ``AIMS``."""
    bodies = sorted(function.body for function in functions)
    return {
        "median": round(statistics.median(bodies)),
        "90th percentile": bodies[min(len(bodies) - 1, int(0.9 * len(bodies)))],
        "longest": bodies[-1],
        "longest file": max(lengths.values()),
        "most parameters": max(function.parameters for function in functions),
    }


def functions_of(file: Path) -> Iterator[Function]:
    """Every function and method of a file."""
    lines = code_lines(file)
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1:] if ast.get_docstring(node) else node.body
            start = first[0].lineno if first else node.end_lineno or 0
            body = sum(start <= line <= (node.end_lineno or start) for line in lines)
            yield Function(f"{file.stem}.{node.name}", body, count_parameters(node.args))


def count_parameters(arguments: ast.arguments) -> int:
    """Parameters that a caller sees: neither self, cls, *args nor **kwargs."""
    named = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len([name for name in named if name not in {"self", "cls"}])


def code_lines(file: Path) -> set[int]:
    """Numbers of the lines that hold code: not blank, not a comment, not a docstring."""
    text = file.read_text(encoding="utf-8")
    skip = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    used = {line for t in tokens if t.type not in skip for line in range(t.start[0], t.end[0] + 1)}
    return used - docstring_lines(ast.parse(text))


def docstring_lines(tree: ast.AST) -> set[int]:
    """Numbers of the lines of strings that stand as statements, attribute docstrings included."""
    strings = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    return {line for node in strings for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}


if __name__ == "__main__":
    main()
