"""A model as a folder of Python that stands alone: kernels, one module, weights."""

from __future__ import annotations

import ast
import inspect
import re
import secrets
import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from textwrap import indent
from types import MethodDescriptorType
from typing import Any

from graphwright.backends.torch.registry import lowerings
from graphwright.backends.triton.places import check_folder
from graphwright.backends.triton.tensor_file import NAMES, write_tensors
from graphwright.backends.triton.torch_module import Made, with_kernels
from graphwright.ir.graph import Graph

INIT = '''"""{name}: made by graphwright."""

from .calls import tune
from .model import Model, load
'''
LOOSE = """from __future__ import annotations

from typing import Any

import torch
"""
TORCH = "graphwright.backends.torch"
OPERATORS = f"{TORCH}.operators."
IMPORTED = re.compile(r"from graphwright\.backends\.torch\.(registry|gradients) import")


def write_folder(graph: Graph, folder: Path) -> Made:
    """Write `graph` as a folder, whole or not at all. Raises ModelError and OSError."""
    check_folder(folder)
    made = with_kernels(graph, lambda source: None)
    files = _files(made, folder.name, [v.name for v in graph.inputs if v not in graph.defaults])
    new = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    new.mkdir()
    try:
        for name, text in files.items():
            (new / name).parent.mkdir(exist_ok=True)
            (new / name).write_text(text, encoding="utf-8")
        write_tensors(made.module.state_dict(), new / "weights.safetensors")
        if folder.exists():
            folder.rmdir()
        new.replace(folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return made


def _files(made: Made, name: str, inputs: list[str]) -> dict[str, str]:
    """The text of each file by its path."""
    code = _Code()
    classes = [
        code.class_of(part.plain, f"Plain{path.rpartition('_')[2]}", {})
        for path, part in made.module.named_children()
        if path in made.sources
    ]
    calls = {
        path: f"Attention(Plain{path.rpartition('_')[2]}(), kernel('{path}'))"
        for path in made.sources
    }
    classes.append(code.class_of(made.module, "Model", calls))
    return {
        "__init__.py": INIT.format(name=name),
        "README.md": _readme(made, name, inputs),
        "calls.py": _source_of("graphwright.backends.triton.torch_calls"),
        "model.py": _model(code, classes),
        "kernels/__init__.py": '"""Kernels, each of which is the only one in its file."""\n',
        **{f"kernels/{path}.py": source for path, source in made.sources.items()},
        "operators/__init__.py": '"""Operators that are not one function of PyTorch."""\n',
        **code.operators(),
    }


class _Code:
    """Graphs of torch.fx as classes, and the functions of ours that they call."""

    def __init__(self) -> None:
        self.functions: dict[str, Any] = {}
        self.methods: dict[str, str] = {}

    def class_of(self, module: Any, name: str, calls: Mapping[str, str]) -> str:
        """The class of a module, whose submodules in `calls` are made by expressions."""
        code = module.graph.python_code("self")
        text = code.src
        for used, value in code.globals.items():
            if getattr(value, "__module__", "").startswith("graphwright."):
                short = _short(value)
                assert not re.search(rf"\b{short}\b", text), f"{short} has two meanings"
                assert self.functions.setdefault(short, value) is value, short
                text = re.sub(rf"\b{used}\b", short, text)
            elif isinstance(value, MethodDescriptorType):  # of tensors
                self.methods[used] = value.__name__
        tensors = [*module.named_parameters(), *module.named_buffers()]
        own = [(path, t) for path, t in tensors if path.partition(".")[0] not in calls]
        learnt = {path for path, _ in module.named_parameters()}
        kept = set(module.state_dict())
        made = [
            f"hold(self, {path!r}, {tuple(t.shape)}, {t.dtype}, {_how(path, learnt, kept)!r})"
            for path, t in own
        ]
        made += [f"self.{path} = {call}" for path, call in calls.items()]
        lines = ["super().__init__()", *made]
        init = "def __init__(self):\n" + indent("\n".join(lines), "    ")
        inside = indent(f"{init}\n\n{_forward(text)}", "    ")
        return f"class {name}(torch.nn.Module):\n{inside}"

    def imports(self) -> list[str]:
        """The lines that bring in those functions, and methods of tensors."""
        modules, rows = set(), []
        for used, value in self.functions.items():
            module, op = value.__module__.rpartition(".")[2], _made_for(value)
            modules.add(f"from .operators import {module}")
            taken = (
                f"{module}.{value.__name__}" if not op else f"registry.LOWERINGS[{op!r}].function"
            )
            rows.append(f"{used} = {taken}")
        rows += [f"{used} = torch.Tensor.{name}" for used, name in self.methods.items()]
        return [*sorted({*modules, "from .operators import registry"}), "", *sorted(rows)]

    def operators(self) -> dict[str, str]:
        """The files that those functions stand in, and the files that those import."""
        files = {"operators/registry.py": _registry()}
        loose: dict[str, set[str]] = {}
        for value in self.functions.values():
            module = value.__module__
            if module.startswith(OPERATORS):
                _copy(module, files)
            else:
                loose.setdefault(module, set()).add(inspect.getsource(value))
        for module, sources in loose.items():
            if "from graphwright.ir" in _source_of(module):  # functions alone, which need no more
                files[_place(module)] = "\n\n".join([LOOSE, *sorted(sources)])
            else:
                _copy(module, files)
        return files


def _made_for(function: Any) -> str:
    """The operator that a function was made for, where it has no name in its file."""
    home = import_module(function.__module__)
    if getattr(home, function.__name__, None) is function:
        return ""
    return next(op for op, row in lowerings().items() if row.function is function)


def _short(function: Any) -> str:
    """The name under which the folder calls a function of ours."""
    name = _made_for(function) or function.__name__
    return re.sub(r"\W", "_", f"{function.__module__.rpartition('.')[2]}_{name}")


def _how(path: str, learnt: set[str], kept: set[str]) -> str:
    return "parameter" if path in learnt else "buffer" if path in kept else "empty"


def _forward(text: str) -> str:
    """The function `forward` of torch.fx, without its notes of which tensor is freed where."""
    return re.sub(r"(;  \S+ = None)+$|;(  (\w+ = )+None)+$", "", text.strip(), flags=re.MULTILINE)


def _copy(module: str, files: dict[str, str]) -> None:
    """Take a file of ours over, and those that it imports."""
    if _place(module) not in files:
        files[_place(module)] = IMPORTED.sub(r"from .\1 import", _source_of(module))
        for name in IMPORTED.findall(_source_of(module)):
            _copy(f"{TORCH}.{name}", files)


def _place(module: str) -> str:
    return f"operators/{module.rpartition('.')[2]}.py"


def _source_of(module: str) -> str:
    return inspect.getsource(import_module(module))


def _registry() -> str:
    """The text of the registry without the function that looks for all operators."""
    text = _source_of(f"{TORCH}.registry")
    node = next(n for n in ast.parse(text).body if getattr(n, "name", "") == "lowerings")
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    lines = text.splitlines(keepends=True)
    return "".join([*lines[: first - 1], *lines[node.end_lineno :]])


def _model(code: _Code, classes: list[str]) -> str:
    types = ",\n".join(f'    "{short}": torch.{name}' for name, short in NAMES.items())
    names = "\n".join(code.imports())
    return MODEL.format(imports=names, types=types, classes="\n\n\n".join(classes))


MODEL = '''"""The whole model as one module of PyTorch; `load()` gives it with its weights."""

import json
import math
import operator
from importlib import import_module
from math import inf, nan
from pathlib import Path

import torch
from torch import device

from .calls import Attention
{imports}

TYPES = {{
{types},
}}


def hold(module, path, shape, dtype, kind):
    """Put a tensor without numbers at a path under a module."""
    *way, leaf = path.split(".")
    for part in way:
        if part not in module._modules:
            module.add_module(part, torch.nn.Module())
        module = module._modules[part]
    tensor = torch.empty(shape, dtype=dtype)
    if kind == "parameter":
        module.register_parameter(leaf, torch.nn.Parameter(tensor))
    else:
        module.register_buffer(leaf, tensor, persistent=kind == "buffer")


def kernel(name):
    """The module of a kernel, or None where Triton is not installed: then PyTorch computes it."""
    try:
        return import_module(f".kernels.{{name}}", __package__)
    except ImportError:
        return None


def weights():
    """The tensors of weights.safetensors by name."""
    data = bytearray((Path(__file__).parent / "weights.safetensors").read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    found = {{}}
    for name, about in json.loads(bytes(data[8:start])).items():
        first, last = about["data_offsets"]
        dtype, shape = TYPES[about["dtype"]], about["shape"]
        if first == last:
            found[name] = torch.empty(shape, dtype=dtype)
            continue
        flat = torch.frombuffer(data[start + first : start + last], dtype=torch.uint8)
        found[name] = flat.view(dtype).reshape(shape)
    return found


def load():
    """The model with its weights, on the CPU and not in training."""
    model = Model()
    model.load_state_dict(weights())
    return model.eval()


{classes}
'''


def _readme(made: Made, name: str, inputs: list[str]) -> str:
    arguments = ", ".join(re.sub(r"\W", "_", each) for each in inputs)
    count = len(made.sources)
    kernels = f"{count} kernel{'' if count == 1 else 's'} of Triton" if count else "no kernel"
    left = "".join(f"\nNot a kernel: {where}, since {why}.\n" for where, why in made.left)
    return f"""# {name}

Made by graphwright: {kernels}, the rest in PyTorch. It needs nothing else; without Triton or a GPU
PyTorch computes attention too.
{left}
    from {name} import load
    model = load().cuda()
    outputs = model({arguments})

`tune(model, {arguments})`, imported alike, measures on this GPU how kernels are best
cut into blocks, and keeps that beside them.
"""
