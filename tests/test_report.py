"""The report of a run, for programs and for people."""

import json
import math
from pathlib import Path

import pytest
from onnx import TensorProto, helper

import graphwright as gw
from graphwright.driver import Log
from graphwright.frontends.onnx.load import from_proto
from graphwright.report import LeftOut, Report, RuleReport, plain
from graphwright.summary import number, progress, runs_on, show, size, some, warnings
from graphwright.verification.judge import Verdict
from graphwright.verification.metrics import Distance
from graphwright.verification.verify import OutputVerdict, Verification


def verification(ok: bool = True, apart: float = 3e-7) -> Verification:
    why = "" if ok else "'y': it is 3 from the float64 answer"
    verdict = Verdict(ok, "" if ok else "it is 3", Distance(apart, apart, apart, 1.0, 120.0))
    return Verification(ok, why, (OutputVerdict("y", verdict, "B=2"),), 14, 1, "made from seed 0")


@pytest.fixture
def report() -> Report:
    return Report(
        {"Add": 12, "Erf": 3, "MatMul": 5},
        {"Add": 9, "Gelu": 3, "MatMul": 5},
        [RuleReport("fuse-gelu", "within tolerance", 3, 2.4e-7)],
        [LeftOut("fuse-x", ("a", "b", "c", "d"), "it is 2 from the original")],
        verification(),
        bytes_before=1_500_000,
        bytes_after=1_400_000,
        written="out.onnx",
        runs_on="ONNX opset 17",
    )


def test_it_is_plain_data(report: Report) -> None:
    assert report.verified is not None
    report.rewrites.append(RuleReport("odd", "exact", 1, math.inf))
    said = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert said["schema"] == 1
    assert said["ok"] is True
    assert said["rewrites"][1]["worst"] == "inf"
    assert said["left_out"][0]["where"] == ["a", "b", "c", "d"]
    assert said["verified"]["outputs"][0]["verdict"]["distance"]["max_abs"] == 3e-7
    wanted = {"nodes_before", "nodes_after", "notes", "drift", "written", "runs_on"}
    assert wanted | {"bytes_before", "bytes_after"} <= said.keys()


def test_plain_values() -> None:
    assert plain({1: (math.nan, -math.inf, 2.5, None, True)}) == {
        "1": ["nan", "-inf", 2.5, None, True]
    }


def test_what_people_read_fits_80_columns(
    report: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    show(report, verbose=False, log=Log())
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for said in ("Erf", "-3", "all nodes", "20", "17", "fuse-gelu", "2.4e-07", "within tolerance"):
        assert said in out
    assert "the same function on 14 inputs, 1 more left out (made from seed 0)" in out
    assert "3.0e-07 (relative 3.0e-07) at most, in 'y'" in out
    assert "1.4 MiB -> 1.3 MiB" in out
    assert "written    out.onnx" in out
    assert "\x1b" not in out


def test_nothing_done_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    show(Report({"Add": 1}, {"Add": 1}, [], []), verbose=True, log=Log())
    out = capsys.readouterr().out
    assert "none: no rule found anything to do" in out
    assert "no: the whole was not run" in out


def test_warnings_are_sentences(report: Report) -> None:
    report.left_out.append(LeftOut("fuse-x", ("e",), "another reason"))
    first = "fuse-x was left out at a, b, c and 1 more and in 1 other place"
    assert warnings(report) == [f"{first}: it is 2 from the original"]
    report.verified = verification(ok=False)
    report.drift = "it begins at 'h'"
    said = "the result is not the same function, so it was not written: "
    assert warnings(report)[1] == f"{said}'y': it is 3 from the float64 answer; it begins at 'h'"
    assert not report.ok


def test_numbers_and_sizes() -> None:
    assert [number(x) for x in (0.0, 3e-7, 12.0)] == ["0", "3.0e-07", "1.2e+01"]
    assert [size(n) for n in (0, 1023, 1024, 5 << 20, 3 << 30)] == [
        "0 bytes",
        "1023 bytes",
        "1.0 KiB",
        "5.0 MiB",
        "3.0 GiB",
    ]
    assert some(("a", "b", "c", "d", "e")) == "a, b, c and 2 more"


def test_progress_is_silent_where_nobody_sees_it(capsys: pytest.CaptureFixture[str]) -> None:
    for silent in (True, False):
        with progress(silent) as say:
            say("working")
    assert capsys.readouterr() == ("", "")


def graph_of(*nodes: tuple[str, str], opset: int = 17) -> gw.Graph:
    """A chain of nodes, each an operator and its domain."""
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, ["B", 8])
    names = [f"v{i}" for i in range(len(nodes) + 1)]
    made = [
        helper.make_node(op, [names[i]], [names[i + 1]], domain=domain)
        for i, (op, domain) in enumerate(nodes)
    ]
    ends = [helper.make_value_info(name, kind) for name in (names[0], names[-1])]
    graph = helper.make_graph(made, "g", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return from_proto(helper.make_model(graph, opset_imports=opsets, ir_version=9))


def test_which_runtimes_can_run_it() -> None:
    standard = graph_of(("Tanh", ""))
    assert runs_on(standard, None) == "any runtime with ONNX opset 17, IR version 9"
    assert runs_on(standard, 20) == "any runtime with ONNX opset 20, IR version 9"
    theirs = runs_on(graph_of(("Tanh", ""), ("QuickGelu", "com.microsoft")), None)
    assert theirs.startswith("ONNX Runtime, which has the operators of com.microsoft, with ")
    foreign = runs_on(graph_of(("Odd", "some.where")), None)
    assert foreign.startswith("runtimes that have the operators of some.where, with ")


def test_operators_are_counted_as_files_have_them(model: Path) -> None:
    found = gw.optimize(gw.load(model), verify=False)
    assert found.report.nodes_after == {"Gelu": 1, "MatMul": 1, "Tanh": 1}
    assert "Gelu written out as a function" in runs_on(found.graph, None)
