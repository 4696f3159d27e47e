"""Runs kernels under Triton's interpreter, or compiles them: chosen before Triton is imported.

Run as a program it answers requests, which `Child` sends it.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LEARNT = ("q", "k", "v", "sink")
"""What has gradients."""


class Child:
    """A process in which kernels are interpreted, or compiled; it keeps its files in `cache`."""

    def __init__(self, cache: Path, interpret: bool = True) -> None:
        env = {**os.environ, "TRITON_INTERPRET": str(int(interpret)), "OMP_NUM_THREADS": "1"}
        env |= {"XDG_CACHE_HOME": str(cache), "TRITON_CACHE_DIR": str(cache / "compiled")}
        self.child = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
        )

    def stop(self) -> None:
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.close()
        self.child.wait(60)
        self.child.stdout.close()

    def launch(self, source: str, given: Mapping[str, Any], config: Any = None) -> Any:
        """What the kernel of a text gives."""
        return self._asked("launch", source, dict(given), config)

    def parts(self, source: str, given: Mapping[str, Any], count: int) -> Any:
        """What the kernel of a text gives, over so many parts of the keys."""
        return self._asked("parts", source, dict(given), count)

    def gradients(self, source: str, given: Mapping[str, Any], change: Any) -> list[Any]:
        """The gradients of q, k, v and of sinks, where those of the result are `change`."""
        found: list[Any] = self._asked("gradients", source, dict(given), change)
        return found

    def compiled(self, source: str, dtype: str, capability: int, entry: str = "forward") -> Any:
        """The kernel of a text as it is compiled where nothing was measured."""
        return self._asked("compiled", source, dtype, capability, entry)

    def tuned(self, source: str, given: Mapping[str, Any]) -> Any:
        """What measuring blocks gives."""
        return self._asked("tuned", source, dict(given))

    def model(self, folder: Path, given: list[Any]) -> list[Any]:
        """What the model in a folder gives for some inputs."""
        found: list[Any] = self._asked("model", str(folder), given)
        return found

    def _asked(self, *request: Any) -> Any:
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        pickle.dump(request, self.child.stdin)
        self.child.stdin.flush()
        ok, answer = pickle.load(self.child.stdout)
        assert ok, answer
        return answer


def _tensor(array: Any) -> Any:
    import torch

    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view("int16").copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy())


def _array(tensor: Any) -> Any:
    import torch

    wide = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    return wide.detach().numpy()


def _launch(source: str, given: dict[str, Any], config: Any) -> Any:
    from graphwright.backends.triton.loading import loaded

    kernel: Any = loaded(source)
    tensors = {name: _tensor(x) for name, x in given.items()}
    assert kernel.runs_here(*(tensors[name] for name in "qkv"))
    return _array(kernel.launch(**tensors, config=config))


def _parts(source: str, given: dict[str, Any], count: int) -> Any:
    from graphwright.backends.triton.loading import loaded

    kernel: Any = loaded(source)
    tensors = {name: _tensor(x) for name, x in given.items()}
    return _array(kernel.launch_parts(**tensors, parts=count))


def _gradients(source: str, given: dict[str, Any], change: Any) -> list[Any]:
    from graphwright.backends.triton.loading import loaded
    from graphwright.backends.triton.torch_calls import Attention

    tensors = {name: _tensor(x) for name, x in given.items()}
    wanted = [tensors[name].requires_grad_() for name in LEARNT if name in tensors]
    y = Attention(_Refused(), loaded(source))(*tensors.values())
    y.backward(_tensor(change))
    return [_array(x.grad) for x in wanted]


def _compiled(source: str, dtype: str, capability: int, entry: str) -> Any:
    import torch

    from graphwright.backends.triton.ahead import compiled
    from graphwright.backends.triton.loading import loaded

    kernel: Any = loaded(source)
    like = torch.empty(1, dtype=torch.float32 if dtype == "f32" else torch.float16)
    parts = (16, 32, 4, 2) if entry == "forward_part" else (64, 64, 4, 2)
    config = kernel.configs(like, 1024)[0] if entry == "forward" else parts
    return compiled(kernel, dtype, capability, config, entry)


def _tuned(source: str, given: dict[str, Any]) -> Any:
    """The blocks that were measured, those then taken, and what is kept beside the kernel."""
    from graphwright.backends.triton.loading import loaded

    kernel: Any = loaded(source)
    tensors = [_tensor(x) for x in given.values()]
    kernel.configs = lambda *_: [(32, 32, 4, 1), (16, 64, 4, 1)]
    measured = kernel.tune(*tensors)
    return measured, kernel.chosen(*tensors[:2]), kernel.MEASURED.read_text()


def _model(folder: str, given: list[Any]) -> list[Any]:
    from importlib import import_module

    import torch

    path = Path(folder)
    sys.path.insert(0, str(path.parent))
    model = import_module(path.name).load()
    del sys.path[0]
    for name in [name for name in sys.modules if name.partition(".")[0] == path.name]:
        del sys.modules[name]
    launched = []
    for name, part in model.named_children():
        if name.startswith("attention_"):
            assert part.kernel is not None, "the kernel was not loaded"
            part.plain = _Refused()
            launched.append(name)
    assert launched, "the model has no kernel"
    with torch.no_grad():
        found = model(*(_tensor(x) for x in given))
    return [_array(x) for x in (found if isinstance(found, tuple) else (found,))]


def _Refused() -> Any:  # noqa: N802  it stands for a module
    import torch

    class Refused(torch.nn.Module):
        def forward(self, *_: Any) -> Any:
            raise AssertionError("the attention was computed by PyTorch")

    return Refused()


REQUESTS: dict[str, Any] = {
    "launch": _launch,
    "parts": _parts,
    "gradients": _gradients,
    "compiled": _compiled,
    "tuned": _tuned,
    "model": _model,
}


def _serve() -> None:
    import traceback

    answers = sys.stdout.buffer
    while True:
        try:
            name, *args = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = True, REQUESTS[name](*args)
        except Exception:
            answer = False, traceback.format_exc()
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    _serve()
