"""Whole architectures through torch-mlir: in by its torch dialect, and computed by its linalg."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch_mlir")
pytest.importorskip("transformers")

from tests.torch_models import ATTENTIONS, BUILDERS, built, implementations  # noqa: E402
from tests.torch_running import Arrays, arrays, feed_of, in_float64  # noqa: E402

import graphwright as gw  # noqa: E402
from graphwright.backends.mlir import Mlir  # noqa: E402
from graphwright.frontends.torch_mlir.importing import imported  # noqa: E402
from graphwright.ir.contracts import Tolerance  # noqa: E402
from graphwright.runtime import Runtime  # noqa: E402
from graphwright.verification.judge import holds  # noqa: E402

SAMPLE = [("bert", "sdpa"), ("torch_encoder_pre", "sdpa"), ("vit", "eager")]
REST = [
    (name, attention)
    for name in BUILDERS
    for attention in implementations(name)
    if (name, attention) not in SAMPLE
]
EVERY = [*SAMPLE, *(pytest.param(*each, marks=pytest.mark.full) for each in REST)]


# Transformers and torch.export warn of their own code
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def mlir() -> Iterator[Mlir]:
    with Mlir() as child:
        yield child


def exported(name: str, attention: str) -> tuple[Any, dict[str, Any], Arrays, Arrays]:
    """The program of a builder's module, a feed, what the module gives for it, and the truth."""
    case = built(name, attention)
    with torch.no_grad():
        program = torch.export.export(case.module, (case.inputs,), strict=False)
    return program, feed_of(case), arrays(case), arrays(in_float64(name, attention))


def assert_all_hold(wanted: Arrays, found: Arrays, truth: Arrays) -> None:
    for a, b, exact in zip(wanted, found, truth, strict=True):
        verdict = holds(Tolerance(), a, b, exact)
        assert verdict.ok, verdict.why


@pytest.mark.parametrize(("name", "attention"), EVERY)
def test_it_is_the_graph_of_torch_export_and_linalg_computes_it(
    name: str, attention: str, mlir: Mlir
) -> None:
    program, feed, wanted, truth = exported(name, attention)
    graph = gw.load(imported(program), program=program)
    found = gw.diff(gw.load(program), graph)
    assert found.same, found
    seen = gw.attentions(graph)
    assert len(seen.found) == ATTENTIONS.get(name, 2)
    assert not seen.missed
    assert_all_hold(wanted, mlir.evaluate(graph, [feed])[0], truth)


@pytest.mark.parametrize(("name", "attention"), EVERY[1:])
def test_what_torch_mlir_has_simplified_computes_the_same(name: str, attention: str) -> None:
    program, feed, wanted, truth = exported(name, attention)
    if name == "whisper":  # its aten.diff is nothing that torch-mlir simplifies
        with pytest.raises(gw.ModelError, match=r"torch-mlir cannot import the program"):
            imported(program, "torch")
        return
    graph = gw.load(imported(program, "torch"), program=program)
    assert len(gw.attentions(graph).found) == ATTENTIONS.get(name, 2)
    with Runtime(isolated=False) as runtime:
        (found,) = runtime.evaluate(graph, [feed])
    assert_all_hold(wanted, found, truth)
