"""The pages about rules are true: what one of them writes works, the other names what there is."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from graphwright.driver import input_sizes
from graphwright.frontends.onnx import from_proto
from graphwright.ir.clone import clone
from graphwright.passes import rule as rule_module
from graphwright.passes.pipelines import DEFAULT
from graphwright.passes.rewrite import Group, rewrite
from graphwright.passes.rule import Budget, Rule, Sweep, rules
from graphwright.runtime import Runtime
from graphwright.testing import check_rule

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "writing-a-rule.md").read_text(encoding="utf-8")
NORMAL = (DOCS / "normal-form.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rule:
    """The rule of the page, from the file that it says to write."""
    monkeypatch.setattr(rule_module, "RULES", dict(rules()))
    (code,) = blocks("python")
    path = tmp_path / "softplus.py"
    path.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("softplus_of_the_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    found = rules()["fuse-softplus"]
    assert isinstance(found, Rule)
    return found


def test_the_rule_of_the_page_keeps_what_rules_promise(written: Rule) -> None:
    check_rule(written)


def test_it_joins_a_group_by_the_line_that_the_page_gives(written: Rule) -> None:
    (line,) = blocks("text")
    assert line.strip().strip('",') == written.name
    source = (DOCS.parent / "passes" / "pipelines.py").read_text(encoding="utf-8")
    assert '        "fuse-gelu",\n' in source  # the page's line stands among lines like it
    assert line.startswith('        "')


def test_it_rewrites_a_model(written: Rule) -> None:
    nodes = [
        helper.make_node("Exp", ["x"], ["e"]),
        helper.make_node("Add", ["one", "e"], ["s"]),
        helper.make_node("Log", ["s"], ["y"]),
    ]
    one = helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["B", 4]) for n in "xy")
    graph = helper.make_graph(nodes, "softplus", [x], [y], [one])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    before = from_proto(model)
    after = clone(before)
    runtime = Runtime(isolated=False)
    for group in (*DEFAULT, Group("mine", (written,))):
        rewrite(after, group, Budget(runtime.compute, sizes=input_sizes(after)))
    assert [node.op for node in after.nodes()] == ["Softplus"]
    feed = {"x": np.array([[-3.0, 0.0, 5.0, 20.0]], np.float32)}
    (old,), (new,) = (runtime.evaluate(g, [feed])[0] for g in (before, after))
    np.testing.assert_allclose(new, old, 1e-6)


def test_the_lines_of_the_normal_form_are_numbered() -> None:
    numbers = [int(n) for n in re.findall(r"\*\*N(\d+)\.\*\*", NORMAL)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_normal_form_names_the_rules_that_establish_it() -> None:
    named = set(re.findall(r"`((?:fold|fuse|drop|merge)-[a-z-]+)`", NORMAL))
    groups = {g.name: {r.name for r in g.rules} for g in DEFAULT}
    assert named == groups["canonical"] | groups["forms"]


def test_the_page_lists_the_verbs() -> None:
    found = re.search(r"verb of \*(.*?)\*", PAGE)
    assert found is not None
    verbs = found[1].split(", ")
    each: Rule | Sweep
    for each in rules().values():
        assert each.name.partition("-")[0] in verbs
