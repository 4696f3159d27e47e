"""ONNX Runtime in a child process, so that a model that crashes it cannot crash its user."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from graphwright.backends.child import Child, answer_calls
from graphwright.backends.ort.pack import Packed


class Worker(Child):
    """A child process that runs packed graphs; started at the first call, ended by `stop`."""

    def __init__(self) -> None:
        super().__init__("graphwright.backends.ort.worker", "ONNX Runtime")

    def evaluate(
        self, packed: Packed, feeds: Sequence[Any], optimized: bool = False
    ) -> list[list[Any]]:
        """The outputs for each set of inputs. Raises ModelError when the model fails or crashes."""
        outputs: list[list[Any]] = self.call("evaluate", packed, list(feeds), optimized)
        return outputs

    def interleaved(
        self, models: Sequence[Packed], feed: Any, runs: int, seconds: float
    ) -> list[list[float]]:
        """As `timing.interleaved`. Raises ModelError when a model fails or crashes."""
        times: list[list[float]] = self.call("interleaved", list(models), feed, runs, seconds)
        return times

    def stream(self, packed: Packed, feeds: Iterable[Any]) -> Iterator[list[Any]]:
        """As `session.stream`. Raises ModelError when the model fails or crashes."""
        self.call("begin", packed)
        for feed in feeds:
            yield self.call("next", feed)
        self.call("end")


def main() -> None:
    """Answer calls until the parent is gone."""
    from graphwright.backends.ort.session import evaluate, run, session
    from graphwright.backends.ort.timing import interleaved

    begun: list[Any] = []

    def begin(packed: Packed) -> None:
        begun[:] = [session(packed, optimized=True)]

    answer_calls(
        {
            "evaluate": evaluate,
            "interleaved": interleaved,
            "begin": begin,
            "next": lambda feed: run(begun[0], feed),
            "end": begun.clear,
        }
    )


if __name__ == "__main__":
    main()
