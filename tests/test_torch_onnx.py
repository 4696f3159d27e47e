"""An architecture has the same attentions through torch.onnx and through torch.export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnxscript")  # which torch.onnx needs

from tests.torch_models import BUILDERS, Case, built, implementations  # noqa: E402
from tests.torch_running import feed_of  # noqa: E402

import graphwright as gw  # noqa: E402
from graphwright.ir.graph import Graph, Node, Value  # noqa: E402
from graphwright.ir.ops import return_node  # noqa: E402
from graphwright.native_rows import ADDED  # noqa: E402
from graphwright.passes.hiding import HIDDEN  # noqa: E402
from graphwright.runtime import Runtime  # noqa: E402
from graphwright.surveying import Row  # noqa: E402

OPSETS = {"dynamo": 18, "legacy": 17}
UNEXPORTED = [("whisper", each, "legacy") for each in ("eager", "sdpa")]  # it lacks aten::diff
SAMPLE = [("bert", "sdpa", "dynamo"), ("llama_gqa", "sdpa", "legacy")]
REST = [
    (name, attention, exporter)
    for name in BUILDERS
    for attention in implementations(name)
    for exporter in OPSETS
    if (name, attention, exporter) not in (*SAMPLE, *UNEXPORTED)
]
EVERY = [*SAMPLE, *(pytest.param(*each, marks=pytest.mark.full) for each in REST)]
ITS_OWN = ("path", "form", "mask", "dead_rows", "left")
"""What a row says of how its file is written; it is held to that file, not to the other one."""


# Transformers and torch.onnx warn of their own code
pytestmark = pytest.mark.filterwarnings("ignore")


class InOrder(torch.nn.Module):
    """A case's module that takes its inputs in their order, as torch.onnx wants it."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.module, self.names = case.module, list(case.inputs)

    def forward(self, *given: Any) -> Any:
        found = self.module(dict(zip(self.names, given, strict=True)))
        return tuple(found.values()) if isinstance(found, dict) else found


def through_onnx(case: Case, exporter: str, path: Path) -> Graph:
    """The graph of the ONNX file that an exporter makes of a case."""
    how: dict[str, Any] = {"dynamic_axes": {f"given_{k}": v for k, v in case.sizes.items()}}
    if exporter == "dynamo":
        sizes = [case.sizes.get(name) for name in case.inputs]
        shapes = [s and dict.fromkeys(s, torch.export.Dim.DYNAMIC) for s in sizes]
        how = {"dynamic_shapes": (tuple(shapes),), "external_data": False, "verbose": False}
    with torch.no_grad():
        torch.onnx.export(
            InOrder(case).eval(),
            tuple(case.inputs.values()),
            str(path),
            input_names=[f"given_{name}" for name in case.inputs],
            opset_version=OPSETS[exporter],
            dynamo=exporter == "dynamo",
            **how,
        )
    return gw.load(path)


@pytest.mark.parametrize(("name", "attention", "exporter"), EVERY)
def test_both_ways_give_the_same_attentions(
    name: str, attention: str, exporter: str, tmp_path: Path
) -> None:
    case = built(name, attention)
    by_onnx = through_onnx(case, exporter, tmp_path / "model.onnx")
    by_torch = gw.load(case.module, (case.inputs,), dynamic_shapes=case.shapes)
    tables = [gw.attentions(graph) for graph in (by_onnx, by_torch)]
    assert not any(table.missed for table in tables)
    for one, other in zip(*(table.found for table in tables), strict=True):
        assert shared(one) == shared(other)
        assert (one.mask == "none") == (other.mask == "none")
    for graph, table in zip((by_onnx, by_torch), tables, strict=True):
        hold_dead_rows(graph, table.found, case)


def shared(row: Row) -> dict[str, object]:
    """What a row says of the attention itself; of scales, the digits that every exporter keeps."""
    said = {key: value for key, value in asdict(row).items() if key not in ITS_OWN}
    return {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in said.items()}


def hold_dead_rows(graph: Graph, rows: Sequence[Row], case: Case) -> None:
    """Rows without keys give in the raised graph what the file gives, and what the table says."""
    if "attention_mask" not in case.inputs:
        return
    mask = case.inputs["attention_mask"].clone()
    mask[0] = 0
    feed = feed_of(Case(case.module, {**case.inputs, "attention_mask": mask}))
    raised = gw.optimize(graph, functions=True).graph
    nodes = [n for n in raised.nodes() if n.op == "Attention"]
    told = [row.dead_rows for row in rows if row.left is None]
    wanted = len(raised.outputs)
    outputs = [*raised.outputs, *(v for n in nodes for v in (n.outputs[0], *hides(n)))]
    raised.result = return_node(outputs, [f"output_{i}" for i in range(len(outputs))])
    with Runtime(isolated=False) as runtime:
        (before,) = runtime.evaluate(graph, [feed])
        (after,) = runtime.evaluate(raised, [feed])
    for a, b in zip(before, after[:wanted], strict=True):
        np.testing.assert_allclose(b, a, atol=1e-4, rtol=1e-4)
    rest, count = iter(after[wanted:]), 0
    for node, claim in zip(nodes, told, strict=True):
        y, shut = next(rest), [np.asarray(next(rest)) for _ in hides(node)]
        for each in shut:
            seen = each if each.dtype == bool else each > HIDDEN
            dead = y[np.broadcast_to(~seen.any(-1), y.shape[:-1])]
            count += len(dead)
            assert not len(dead) or claim == kind_of(dead)
    assert count, "no row was without keys, so that nothing was tried"


def hides(node: Node) -> list[Value]:
    """What hides keys of an attention: a mask, or else numbers that are added."""
    given = [*node.inputs, None, None, None][3:5]
    return [value for value in reversed(given) if value is not None][:1]


def kind_of(rows: Any) -> str:
    """What rows without keys turn out to give, in the words of the table."""
    return "zero" if not rows.any() else "NaN" if np.isnan(rows).all() else ADDED
