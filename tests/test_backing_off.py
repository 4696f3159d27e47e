"""A rule after which the whole is another function is left out, though each place kept to it."""

import graphwright as gw
from graphwright.ir.graph import Graph

# The second softmax is not fused, since its exponentials are read elsewhere. What the two differ by
# is a million times as large in the output, and was nothing.
AMPLIFIED = """
def amplified(x: f32[N, 16]):
    a = ReduceMax(x, axes=(-1,), keepdims=1)
    b = Exp(x - a)
    c = b / ReduceSum(b, axes=(-1,), keepdims=1)
    y = Concat(x, x, axis=0)
    d = ReduceMax(y, axes=(-1,), keepdims=1)
    e = Exp(y - d)
    f = e / ReduceSum(e, axes=(-1,), keepdims=1)
    h = Concat(c, c, axis=0)
    out = {out}
    return {{"out": out, "e": e}}
"""


def model(out: str = "(h - f) * 1000000.0") -> Graph:
    return gw.parse(AMPLIFIED.format(out=out))


def test_what_keeps_its_contract_is_kept() -> None:
    report = gw.optimize(model("h + f")).report
    assert report.ok
    assert report.left_out == []
    assert [each.rule for each in report.rewrites] == ["fuse-softmax"]


def test_what_breaks_the_whole_is_left_out() -> None:
    before = model()
    result = gw.optimize(before)
    assert result.report.ok
    assert result.report.rewrites == []
    (left,) = result.report.left_out
    assert left.rule == "fuse-softmax"
    assert "so it was left out everywhere: 'out': it is " in left.why
    assert gw.show(result.graph) == gw.show(before)


def test_what_was_asked_for_is_not_left_out() -> None:
    report = gw.optimize(model(), apply=["fuse-softmax"]).report
    assert not report.ok
    assert [each.rule for each in report.rewrites] == ["fuse-softmax"]
