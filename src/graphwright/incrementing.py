"""Models that see all tokens at once, made into a pair that goes on from kept keys and values."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graphwright.api import Progress, budget_for, load, save
from graphwright.continuing import Feed, Inputs, continued, visible
from graphwright.driver import run_groups
from graphwright.ir.clone import clone
from graphwright.ir.cut import cut
from graphwright.ir.dims import Dim
from graphwright.ir.equalities import named
from graphwright.ir.errors import ModelError
from graphwright.ir.garbage import uncollected
from graphwright.ir.graph import Graph, Node
from graphwright.ir.renaming import one_name_each
from graphwright.outputs import with_outputs
from graphwright.passes.hiding import HIDDEN
from graphwright.passes.incremental.pair import Pair, pair
from graphwright.passes.incremental.rows import called
from graphwright.passes.pipelines import BEFORE_TECHNIQUES, LOWER, SIMPLIFY
from graphwright.passes.rule import NoMatch
from graphwright.passes.shapes import shape_of
from graphwright.runtime import Runtime
from graphwright.verification.arrays import Slot, slots_of
from graphwright.verification.data import Data
from graphwright.verification.fragments import check_fragments
from graphwright.verification.verify import Verification, runnable
from graphwright.verification.verify import verify as verify_graphs
from graphwright.weights import refuse_to_lose, too_large, weight_files

PREFILL, STEP = "decoder_model.onnx", "decoder_with_past_model.onnx"


@dataclass(frozen=True)
class Incremental:
    """A graph for a prompt and one for what follows it, and what was found of them.

    `own` names the keys and values that grow with the tokens, `other` those that stay.
    """

    prefill: Graph
    step: Graph
    verified: Verification | None
    own: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


def incremental(
    model: Graph | str | os.PathLike[str],
    *,
    data: Data | None = None,
    verify: bool = True,
    isolated: bool = False,
    progress: Progress = lambda _: None,
) -> Incremental:
    """The prompt's graph and the step's, of a causal model that takes all tokens at once.

    The first gives keys and values beside what the model gave; the second takes them back, and new
    tokens alone. Both together are held to the model on `data` or on made inputs. Raises ModelError
    where something mixes tokens otherwise than in causal attention, and for bad models and data.
    """
    before = model if isinstance(model, Graph) else load(model, inline=True)
    with uncollected(), Runtime(isolated=isolated) as runtime:
        graph = clone(before)
        budget = budget_for(graph, runtime)

        def check(fragments: Any) -> Any:
            return check_fragments(fragments, runtime.evaluate, runtime.evaluate64)

        run_groups(graph, BEFORE_TECHNIQUES, budget, check if verify else None, progress)
        with one_name_each(graph):
            progress("dividing past from new tokens")
            inputs = _inputs(graph)
            try:
                found = pair(graph, inputs.length, inputs.fresh, budget)
            except NoMatch as why:
                raise ModelError(f"the model cannot go on from its past: {why}") from None
        notes = _need_causal(graph, found.attentions, inputs, runtime)
        for each in (found.prefill, found.step):
            lowering = (SIMPLIFY[0], *LOWER["onnx"])
            own = budget_for(each, runtime)
            run_groups(each, lowering, own, check if verify else None, progress)
        why_not = too_large(before) if verify else ""
        notes += [why_not] if why_not else []
        verified = None
        if verify and not why_not:
            progress("verifying prompts and steps")
            verified = _verified(before, found, inputs, runtime, data)
        own_, other = ([c.past for c in found.caches if c.own is own] for own in (True, False))
        return Incremental(found.prefill, found.step, verified, tuple(own_), tuple(other), notes)


def save_incremental(found: Incremental, folder: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write both graphs into `folder`, which is made. Raises ModelError and OSError."""
    out = Path(folder)
    paths = (out / PREFILL, out / STEP)
    for path, graph in zip(paths, (found.prefill, found.step), strict=True):
        refuse_to_lose(path, weight_files(graph))
    out.mkdir(parents=True, exist_ok=True)
    for path, graph in zip(paths, (found.prefill, found.step), strict=True):
        save(graph, path)
    return paths


def _inputs(graph: Graph) -> Inputs:
    """Which inputs say what the tokens are, and which size is how many.

    The tokens are the second axis of the first output, or else of the only indices [batch, tokens].
    Raises ModelError where there are none.
    """
    slots = slots_of(graph)
    first = (shape_of(graph.outputs[0]) or ()) if graph.outputs else ()
    lengths = [dim for dim in first[1:2] if any(dim in s.dims for s in slots)]
    lengths += {s.dims[1] for s in slots if len(s.dims) == 2 and s.kind == "index"}
    length = lengths[0] if lengths else 0
    name = named(length)
    mine = [s for s in slots if length in s.dims]
    fresh = [s for s in mine if s.kind not in ("mask", "bias")]
    if name is None or not fresh:
        raise ModelError(
            f"no input leaves open how many tokens there are ({length}); export it with a dynamic "
            "axis of tokens"
        )
    others = [s for s in slots if s not in mine and s.kind == "mask" and "past" in str(s.dims)]
    if others:
        raise ModelError(f"the input '{others[0].value.name}' speaks of a past already")
    return Inputs(name, _axes(fresh, length), _axes([s for s in mine if s not in fresh], length))


def _axes(slots: Sequence[Slot], length: Dim) -> dict[str, tuple[int, ...]]:
    return {s.value.name: tuple(i for i, d in enumerate(s.dims) if d == length) for s in slots}


def _need_causal(
    graph: Graph, attentions: Sequence[Node], inputs: Inputs, runtime: Runtime
) -> list[str]:
    """How it was found that no token sees a later one. Raises ModelError where one does."""
    feeds = [f for f in runnable(graph, runtime.evaluate) if inputs.count(graph, f) > 1]
    if not feeds:
        raise ModelError("it runs on no made inputs of several tokens, so it may not be causal")
    for node in attentions:
        masks = [v for v in node.inputs[3:5] if v is not None]
        if not any(_hides_later(graph, node, feed, runtime) for feed in feeds[:1]) or not all(
            _hides_later(graph, node, feed, runtime) for feed in feeds
        ):
            why = "its mask does not hide them" if masks else "nothing masks them"
            raise ModelError(f"the {called(node)} lets tokens see later ones: {why}")
    lengths = sorted({inputs.count(graph, feed) for feed in feeds})
    told = ", ".join(map(str, lengths))
    return [f"that no token sees later ones was read off the masks of {told} tokens"]


def _hides_later(graph: Graph, node: Node, feed: Feed, runtime: Runtime) -> bool:
    """Whether bias and mask of an attention hide every later key from every query."""
    values = [v for v in node.inputs[3:5] if v is not None]
    if not values:
        return False
    part = cut(values, graph.inputs)
    given = {v.name: feed[w.name] for v, w in zip(part.inputs, graph.inputs, strict=True)}
    hidden: Any = False
    for value, array in zip(values, runtime.evaluate(part, [given])[0], strict=True):
        is_bias = value is node.inputs[3]
        hidden = hidden | ((array <= HIDDEN) if is_bias else ~array)
    queries = np.arange(hidden.shape[-2]) if hidden.shape[-2] > 1 else np.zeros(1, int)
    keys = np.arange(hidden.shape[-1])
    if hidden.shape[-1] == 1:
        return False
    later = keys[None, :] > queries[:, None]
    return bool(hidden[..., later].all())


def _verified(
    before: Graph, found: Pair, inputs: Inputs, runtime: Runtime, data: Data | None
) -> Verification:
    """Whether prompt and steps together give what the model gives of all tokens at once.

    Of tokens that a mask hides nothing is said, so all give 0 for them.
    """
    names = [n for n in _names(found.step) if n in set(_names(before))]
    whole, prompt = (with_outputs(graph, names) for graph in (before, found.prefill))

    def evaluate(graph: Graph, feeds: Sequence[Feed]) -> list[list[Any]]:
        if graph is not prompt:
            gave = runtime.evaluate(graph, feeds)
        else:
            gave = continued(found, inputs, feeds, names, runtime.evaluate)
        return [visible(before, inputs, f, g) for f, g in zip(feeds, gave, strict=True)]

    def evaluate64(graph: Graph, feeds: Sequence[Feed]) -> list[list[Any]]:
        gave = runtime.evaluate64(graph, feeds)
        return [visible(before, inputs, f, g) for f, g in zip(feeds, gave, strict=True)]

    return verify_graphs(whole, prompt, evaluate, evaluate64, data)


def _names(graph: Graph) -> list[str]:
    names = graph.result.attrs["names"]
    assert isinstance(names, tuple)
    return [str(name) for name in names]
