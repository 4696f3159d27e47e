"""Attention as it was written out becomes one operator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from graphwright.ir.graph import Attr, Graph, Node, Value
from graphwright.ir.normalizers import BODY
from graphwright.ir.ops import constant, scalar
from graphwright.ir.rows import traits
from graphwright.passes.attention.bodies import body_of, scores_type
from graphwright.passes.attention.factors import Factor, all_leaves
from graphwright.passes.attention.formula import Term
from graphwright.passes.attention.layout import arranged
from graphwright.passes.attention.plan import CONTRACTIONS, Plan, has_weights, plans
from graphwright.passes.attention.roles import count
from graphwright.passes.looking import Looking
from graphwright.passes.rule import Builder, Example, Match, NoMatch, Tolerance, need, rule
from graphwright.passes.shapes import dtype_of, expand

GIVEN = "q: f32[B, 4, S, 8], k: f32[B, 4, T, 8], v: f32[B, 4, T, 6]"
PLAIN = "cap=0.0, filler=f32(-inf), guard=0, precision=''"


@rule(
    Looking(plans, *CONTRACTIONS, when=has_weights),
    Tolerance(),
    Example(
        GIVEN,
        "Softmax((q @ Transpose(k, perm=(0, 1, 3, 2))) * 0.5, axis=-1) @ v",
        "Attention(q, k, v, scale=0.5, cap=0.0, filler=-inf, guard=0, precision='')",
    ),
    Example(
        f"{GIVEN}, m: f32[B, 1, 1, T]",
        "Softmax((q * 0.5) @ Transpose(k, perm=(0, 1, 3, 2)) + m, axis=-1) @ v",
        "Attention(q, k, v, m, scale=0.5, cap=0.0, filler=-inf, guard=0, precision='')",
    ),
    Example(
        f"{GIVEN}, m: bool[B, 1, 1, T]",
        """
        s = q @ Transpose(k, perm=(0, 1, 3, 2))
        p = Softmax(Where(m, s, f32(-inf)), axis=-1)
        Where(IsNaN(p), f32(0), p) @ v""",
        "Attention(q, k, v, None, m, scale=1.0, cap=0.0, filler=-inf, guard=1, precision='')",
    ),
    Example(
        GIVEN,
        "Softmax(q @ Transpose(k, perm=(0, 1, 3, 2)), axis=-2) @ v",
        because="does not fit",
    ),
    may_share=True,
)
def raise_attention(m: Match, op: Builder) -> Value:
    """softmax(q k^T) v, however it is spelt  ->  Attention(q, k, v)

    q: [*B, H, S, D]; k: [*B, K, T, D]; v: [*B, K, T, E]; result: [*B, H, S, E] laid out as it was.
    Scale, soft cap, what is added, masks, sinks and NaN guard are read and kept; layout before and
    after is executed on named axes, so that its spelling does not matter.
    Source: Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762, equation 1.
    """
    if isinstance(m.found, str):
        raise NoMatch(m.found)
    plan: Plan = m.found
    _need_unread(plan, m.nodes())
    found, roles = plan.formula, plan.roles
    heads = (*roles.heads, *roles.groups)
    need(not roles.groups or isinstance(count(heads), int), "its heads are counted at run time")
    rows = (*plan.batch, heads, roles.queries)
    q = arranged(op, plan.q.value, plan.q.view, (*rows, roles.width))
    for term, divides in found.factors:
        by = _laid(op, term, (*rows, ()))
        q = op.Div(q, by) if divides else op.Mul(q, by)
    shared = (*plan.batch, roles.heads, roles.keys)
    k = arranged(op, plan.k.value, plan.k.view, (*shared, roles.width))
    v = arranged(op, plan.v.value, plan.v.view, (*shared, roles.value_width))
    operands = [q, k, v, *_extras(op, plan, rows)]
    attrs: dict[str, Attr] = {
        "scale": found.scale,
        "cap": found.cap,
        "filler": found.filler,
        "guard": int(found.guard),
        "precision": plan.precision,
    }
    if plan.late:
        attrs["late"] = 1
    body = {} if plan.site.weighing.is_softmax else {BODY: _body(plan, operands, attrs)}
    y = op.Attention(*operands, **attrs, **body)
    for term in found.weights:
        y = op.Mul(y, _laid(op, term, (*rows, ())))
    view = [list(axis) for axis in (*rows, roles.value_width)]
    return arranged(op, y, view, plan.site.result)


def _body(plan: Plan, operands: Sequence[Value | None], attrs: Mapping[str, Attr]) -> Graph:
    """What makes the weights, where that is no softmax."""
    body = body_of(plan.site.weighing, scores_type(operands, attrs))
    known = not plan.formula.shifted or not traits(body).sees_shift
    need(known, "the greatest score of each row is taken off, which its normalizer sees")
    return body


def _extras(op: Builder, plan: Plan, rows: Sequence[Iterable[Factor]]) -> list[Value | None]:
    """Bias, mask and sink, as many as are needed."""
    found, scores = plan.formula, (*rows, plan.roles.keys)
    bias: Value | None = None
    for term in found.biases:
        each = _laid(op, term, scores)
        bias = each if bias is None else op.Add(bias, each)
    if bias is not None and found.floor is not None:
        bias = op.Max(bias, found.floor)
    mask: Value | None = None
    for term, keeps in found.masks:
        each = _laid(op, term, scores)
        each = each if keeps else op.Not(each)
        mask = each if mask is None else op.And(mask, each)
    sink = None if found.sink is None else _laid(op, found.sink, (*rows, ()))
    return [bias, mask, sink]


def _laid(op: Builder, term: Term, axes: Sequence[Iterable[Factor]]) -> Value:
    known = {factor for axis in axes for factor in axis}
    need(all_leaves(term.view) <= known, "what meets its scores has an axis of its own")
    number = scalar(term.value)
    if number is not None:
        return constant(np.full((1,) * len(axes), number * term.factor), dtype_of(term.value))
    value = expand(op, term.value, term.wide) if term.wide else term.value
    value = op.Mul(value, term.factor) if term.factor != 1 else value
    return arranged(op, value, term.view, axes)


def _need_unread(plan: Plan, nodes: Iterable[Node]) -> None:
    """Refuse where the scores or the weights are read by others, since they would be gone."""
    inside, values = set(nodes), plan.site.values
    work, seen = [plan.site.scores], {plan.site.scores}
    while work:
        node = work.pop()
        if node is values:
            continue
        for use in (use for out in node.outputs for use in out.uses):
            other = "an output" if use.node.op == "return" else use.node.op
            what = "weights" if node in (*plan.site.weighing.nodes, *plan.site.after) else "scores"
            need(use.node in inside, f"its {what} are read by {other} as well")
            if use.node not in seen:
                seen.add(use.node)
                work.append(use.node)
