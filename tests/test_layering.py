"""Who may import whom, and what a file may be called: the shape of the project, kept."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

import graphwright

ROOT = Path(__file__).resolve().parent.parent
FACE = "src/graphwright"
MIDDLE = ("frontends", "passes", "backends", "verification")
FOLDERS = ("ir", *MIDDLE, FACE)


@dataclass(frozen=True)
class Package:
    """A third-party package: where it may be imported (paths from the root), and why only there."""

    where: tuple[str, ...]
    reason: str
    optional: bool = False


IN_FACE = f"{FACE}/*"
PACKAGES = {
    "numpy": Package(tuple(f"{folder}/*" for folder in FOLDERS), "arrays are spoken everywhere"),
    "ml_dtypes": Package(("ir/*", IN_FACE), "which numpy types there are is the ir's to say"),
    "onnx": Package(
        (
            *("ir/onnx_types.py", "frontends/onnx/*", "backends/onnx*", "backends/ort*"),
            *("backends/mlir/*", IN_FACE),  # which is lowered by torch-mlir's importer of ONNX
        ),
        "rules and checks speak of the small graph, so that the file format is one door among many",
    ),
    "google": Package(
        ("frontends/onnx/*", "backends/onnx/*"), "protobuf is what ONNX's messages are made of"
    ),
    "onnxruntime": Package(
        ("backends/ort*", f"{FACE}/ort*"),
        "it is slow to load and one way to run a graph, so only files named ort know of it",
    ),
    "networkx": Package(("verification/*", IN_FACE), "the ir has its own graph"),
    "click": Package((IN_FACE,), "only the face has a command line"),
    "rich": Package((IN_FACE,), "only the face prints"),
    "torch": Package(
        ("frontends/torch*", "backends/torch*", "backends/triton*", IN_FACE),
        "everything else works without it",
        True,
    ),
    "torch_mlir": Package(
        ("frontends/torch_mlir*", "backends/mlir*", IN_FACE),
        "everything else works without it",
        True,
    ),
    "triton": Package(("backends/triton*", IN_FACE), "everything else works without it", True),
}

VAGUE = {"util", "utils", "helper", "helpers", "common", "base", "manager", "managers"}
LONGEST = 300


@dataclass(frozen=True)
class Import:
    """One name imported: dotted, on which line, and whether importing the file imports it."""

    name: str
    line: int
    at_once: bool


def modules() -> list[str]:
    """Every Python file of the package, by its path from the root; the symlinks not followed."""
    found = [p for folder in FOLDERS[:-1] for p in (ROOT / folder).rglob("*.py")]
    found += [p for p in (ROOT / FACE).rglob("*.py") if not any(q.is_symlink() for q in p.parents)]
    return sorted(p.relative_to(ROOT).as_posix() for p in found)


def imports(node: ast.AST, at_once: bool = True) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, at_once) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            module = "." * child.level + (child.module or "")
            yield from (Import(f"{module}.{a.name}", child.lineno, at_once) for a in child.names)
        else:
            yield from imports(child, at_once and not is_put_off(child))


def is_put_off(node: ast.AST) -> bool:
    """Whether what stands inside `node` runs later than the import of its file, or never."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def folder_of(path: str) -> str:
    return FACE if path.startswith(FACE) else path.split("/")[0]


def objection(path: str, name: str, at_once: bool = True) -> str | None:
    """Why the file at `path` may not import `name`, or None where it may."""
    top, _, rest = name.partition(".")
    if top in sys.stdlib_module_names:
        return None
    if top == "":
        return "imports are absolute, so that a line reads the same wherever it is moved"
    if top == "graphwright":
        return objection_to_arrow(folder_of(path), rest.partition(".")[0])
    return objection_to_package(path, top, at_once)


def objection_to_arrow(source: str, target: str) -> str | None:
    target = target if target in ("ir", *MIDDLE) else FACE
    if target in (source, "ir") or source == FACE:
        return None
    if source == "ir":
        return "the ir stands below everything and knows nobody"
    if target == FACE:
        return "the face puts the folders together, so none of them may lean on it"
    return f"{source} and {target} meet only in the ir and in the face"


def objection_to_package(path: str, top: str, at_once: bool) -> str | None:
    package = PACKAGES.get(top)
    if package is None:
        return f"{top} is no dependency of this project (if it should be, say where and why here)"
    if not any(fnmatch(path, where) for where in package.where):
        return f"{top} belongs in {', '.join(package.where)}: {package.reason}"
    if package.optional and at_once and not is_named_for(path, top):
        return f"{top} is optional: import it inside the function that needs it"
    return None


def is_named_for(path: str, top: str) -> bool:
    """Whether a folder or file on `path` carries the package's name, or the end of it."""
    names = (top, top.rpartition("_")[2])
    return any(part.startswith(names) for part in path.split("/"))


def test_there_is_something_to_look_at() -> None:
    assert {folder_of(path) for path in modules()} == set(FOLDERS)


@pytest.mark.parametrize("path", modules())
def test_imports_follow_the_arrows(path: str) -> None:
    found = imports(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    wrong = [
        f"{path}:{i.line} imports {i.name}: {why}"
        for i in found
        if (why := objection(path, i.name, i.at_once)) is not None
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("ir/graph.py", "graphwright.passes.rule"),
        ("ir/graph.py", "onnx.defs"),
        ("passes/fold.py", "graphwright.backends.ort"),
        ("passes/fold.py", "graphwright.cli"),
        ("passes/fold.py", "graphwright.__version__"),
        ("passes/fold.py", "onnx"),
        ("passes/fold.py", "..ir.graph"),
        ("passes/fold.py", "scipy"),
        ("backends/export.py", "onnxruntime"),
        ("frontends/read.py", "onnx"),
        ("verification/run.py", "onnxruntime"),
        ("src/graphwright/cli.py", "onnxruntime"),
        ("src/graphwright/cli.py", "torch"),
        ("src/graphwright/cli.py", "triton.language"),
    ],
)
def test_a_wrong_import_is_objected_to(path: str, name: str) -> None:
    assert objection(path, name)


@pytest.mark.parametrize(
    ("path", "name", "at_once"),
    [
        ("ir/onnx_types.py", "onnx", True),
        ("passes/rules/gelu.py", "graphwright.ir.graph", True),
        ("passes/rules/gelu.py", "graphwright.passes.rule", True),
        ("backends/ort.py", "onnxruntime", True),
        ("frontends/torch_mlir/read.py", "torch", True),
        ("src/graphwright/cli.py", "graphwright.backends.ort", False),
        ("src/graphwright/cli.py", "torch", False),
        ("src/graphwright/__init__.py", "onnx", True),
    ],
)
def test_a_right_import_is_not(path: str, name: str, at_once: bool) -> None:
    assert objection(path, name, at_once) is None


def test_imports_that_are_put_off_are_known() -> None:
    source = (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import torch\n"
        "def f():\n    import triton\n"
        "class C:\n    import click\n"
    )
    at_once = {i.name for i in imports(ast.parse(source)) if i.at_once}
    assert at_once == {"typing.TYPE_CHECKING", "click"}


@pytest.mark.parametrize("path", modules())
def test_a_file_is_short(path: str) -> None:
    lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, f"{path} has {lines} lines: is it still about one thing?"


@pytest.mark.parametrize("path", modules())
def test_a_name_says_what_is_inside(path: str) -> None:
    words = set(re.split(r"[/_.]", path))
    assert not words & VAGUE, f"{path}: {words & VAGUE} says nothing of what the file is about"


def test_no_module_hides_a_public_name() -> None:
    inside = {p.stem for p in (ROOT / FACE).iterdir() if p.suffix == ".py" or p.is_dir()}
    hidden = sorted(inside & set(graphwright.__all__))
    assert not hidden, f"importing graphwright.{hidden} would put a module in a function's place"


SLOW = ["networkx", "onnxruntime", "torch"]
USES = {
    "import graphwright": "import graphwright",
    "optimize --help": (
        "from graphwright.cli import optimize_main\n"
        "sys.argv = ['optimize', '--help']\n"
        "try:\n    optimize_main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
    ),
}


@pytest.mark.parametrize("use", USES)
def test_what_is_slow_to_load_waits_until_it_is_needed(use: str) -> None:
    report = f"print(*[name for name in {SLOW} if name in sys.modules], file=sys.stderr)"
    program = f"import sys\n{USES[use]}\n{report}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = done.stderr.split()
    assert not loaded, f"{use} loads {loaded}, which nothing needs yet"
