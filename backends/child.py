"""Another process that computes for us, so that what crashes it cannot crash its user.

The child reads pickled calls from its standard input and answers on its standard output; only the
parent, which is us, writes to it.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, BinaryIO, Self

from graphwright.ir.errors import ModelError


class Child:
    """A process that runs `module`; started at the first call, ended by `stop`.

    `who` is what crashes in it, as its user knows it.
    """

    def __init__(self, module: str, who: str) -> None:
        self.module, self.who = module, who
        self.child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the child, if there is one."""
        child, self.child = self.child, None
        if child is not None:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):  # of what was not sent any more
                        pipe.close()

    def call(self, name: str, *args: object) -> Any:
        """What the function `name` gives there. Raises ModelError when it does, or crashes."""
        child = self._started()
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            send(child.stdin, (name, args))
            answer = receive(child.stdout)
        except (BrokenPipeError, EOFError):
            code = child.wait()
            self.stop()
            raise ModelError(f"{self.who} crashed on the model ({_death(code)})") from None
        except BaseException:
            self.stop()
            raise
        if isinstance(answer, str):
            raise ModelError(answer)
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        if self.child is None:
            self.child = subprocess.Popen(
                # -P: what lies in the folder that it is started from is not imported.
                [sys.executable, "-P", "-m", self.module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONWARNINGS": "ignore"},
            )
        return self.child


def _death(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def send(pipe: BinaryIO | Any, message: object) -> None:
    """Write one message, its length first."""
    data = pickle.dumps(message, protocol=5)
    pipe.write(struct.pack("<Q", len(data)))
    pipe.write(data)
    pipe.flush()


def receive(pipe: BinaryIO | Any) -> Any:
    """Read one message; EOFError when the other side is gone."""
    head = pipe.read(8)
    if len(head) < 8:
        raise EOFError
    (length,) = struct.unpack("<Q", head)
    data = pipe.read(length)
    if len(data) < length:
        raise EOFError
    return pickle.loads(data)


def answer_calls(functions: Mapping[str, Callable[..., object]]) -> None:
    """In the child: call `functions` by name until the parent is gone; none gives a str."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what others print must not stand among the answers
    while True:
        try:
            name, args = receive(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = functions[name](*args)
        except ModelError as error:
            answer = str(error)
        except MemoryError:
            answer = "there is not enough memory to run the model"
        send(answers, answer)
