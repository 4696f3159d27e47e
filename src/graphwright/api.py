"""The functions behind `import graphwright as gw`."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphwright import mlir_modules, triton_models
from graphwright.applying import apply_all, promised
from graphwright.backends.onnx import save as save_onnx
from graphwright.backends.onnx import to_proto
from graphwright.calibration import Calibration
from graphwright.choosing import Pipeline, pipeline, with_calls, without
from graphwright.driver import Check, Log, input_sizes, run_groups
from graphwright.frontends import onnx as onnx_front
from graphwright.history import first_wrong
from graphwright.ir.clone import clone
from graphwright.ir.errors import ModelError
from graphwright.ir.garbage import uncollected
from graphwright.ir.graph import Graph
from graphwright.noting import not_run, notes_of, where_drift_begins
from graphwright.outputs import with_zero_padding
from graphwright.passes.caches import Change, alike, in_use, with_less
from graphwright.passes.pipelines import BARE, SIMPLIFY
from graphwright.passes.rewrite import Application, Group
from graphwright.passes.rule import Budget
from graphwright.report import Report, count_operators, left_out_for_all, summarize
from graphwright.runtime import Runtime
from graphwright.surveying import Attentions
from graphwright.surveying import attentions as survey_attentions
from graphwright.torch_models import is_exported, is_path, load_torch
from graphwright.verification.data import Data, each_feed
from graphwright.verification.fragments import check_fragments
from graphwright.verification.verify import Verification
from graphwright.verification.verify import verify as verify_graphs
from graphwright.weights import refuse_to_lose, too_large, weight_files

if TYPE_CHECKING:
    from graphwright.applying import Applied
    from graphwright.tuning import Measured

log = logging.getLogger("graphwright")
log.addHandler(logging.NullHandler())  # whoever wants to read it says where
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """An optimized graph, what was done to it, and the log by which it can be undone."""

    graph: Graph
    report: Report
    log: Log


def load(
    model: Any,
    example_inputs: Any = None,
    *,
    dynamic_shapes: Any = None,
    inline: bool = False,
    freeze: bool = False,
    shapes: Mapping[str, Sequence[int]] | None = None,
    program: Any = None,
) -> Graph:
    """The graph in an ONNX file, or of PyTorch: a module, an exported program, a `.pt2` file.

    Weights stay in the file, or are shared with the module, until somebody looks at them. A module
    is exported with `example_inputs`, a tuple of its arguments or a mapping of those by name;
    `dynamic_shapes` is as for torch.export, where a size may also be a name.

    A module of torch-mlir, or the path of a `.mlir` file of its torch dialect, gives a graph too;
    `program` is the exported program that it was made from, whose tensors stand for its literals.

    Of ONNX files, `inline` puts the bodies of model-local functions where they are called, `freeze`
    makes constants of initializers that are also inputs, `shapes` fixes the shapes of inputs.
    Raises ModelError when the model is not valid, cannot be exported or has operators without a
    reading, or the shapes do not fit, and OSError when a file cannot be read.
    """
    if mlir_modules.is_module(model):
        return mlir_modules.load_module(model, program, shapes)
    if is_path(model) and not is_exported(model):
        if example_inputs is not None or dynamic_shapes is not None:
            raise ModelError("example inputs and dynamic shapes are for modules of PyTorch")
        return onnx_front.load(Path(model), inline=inline, freeze=freeze, shapes=shapes)
    if shapes:
        raise ModelError("shapes are for ONNX files; give a module example inputs of those shapes")
    return load_torch(model, example_inputs, dynamic_shapes)


def save(graph: Graph, path: str | os.PathLike[str], *, opset: int | None = None) -> None:
    """Write `graph` as an ONNX file, whole or not at all; weights are not copied through memory.

    At a path that ends in `.mlir` it becomes a module of linalg on tensors, for which all sizes
    have to be numbers. `opset` asks for a newer one than the model's own. Raises ModelError, also
    where that would write over a file that weights of `graph` lie in, and OSError.
    """
    refuse_to_lose(Path(path), weight_files(graph))
    write = mlir_modules.save_module if mlir_modules.is_module(path) else save_onnx
    write(graph, Path(path), opset)


def check_opset(graph: Graph, opset: int) -> None:
    """Raise ModelError where `graph` cannot be written in `opset`."""
    to_proto(graph, opset)


def optimize(
    model: Graph | str | os.PathLike[str],
    *,
    target: str = "onnx",
    apply: Sequence[str] = (),
    skip: Sequence[str] = (),
    data: Data | None = None,
    verify: bool = True,
    tune: bool = False,
    functions: bool = False,
    opset: int | None = None,
    ragged: bool = False,
    isolated: bool = False,
    progress: Progress = lambda _: None,
) -> Result:
    """A graph that computes the same faster; the one given is left as it is.

    Each rewrite is checked on this model before it is kept, and the whole in the end, on `data` or
    on made inputs; `verify=False` checks nothing. `apply` names rules to run beside the default
    ones and `skip` rules not to run; `tune` measures what each lowering is worth here and leaves
    out what is slower. `functions` leaves attention as one operator, which is written as a function
    that the model brings along. `ragged` leaves padding out, and outputs are 0 for tokens that the
    mask hides. `opset` is a newer one to be in, whose operators may be used. `isolated` runs ONNX
    Runtime in a child process. Raises ModelError for bad models, names and data; a whole that does
    not verify is in `Result.report.ok`.
    """
    chosen = pipeline(target, apply, skip, ragged)
    before = model if isinstance(model, Graph) else load(model, inline=True)
    if opset is not None:
        check_opset(before, opset)
        chosen = replace(chosen, opset=opset)
    if functions:
        chosen = replace(chosen, lowering=with_calls(chosen.lowering, before, target))
    if target == "mlir":
        mlir_modules.check_lowering(before, tune)
    if target == "triton":
        triton_models.check_target(tune)
    if ragged:
        before = with_zero_padding(before)
    own = before is not model
    return rewritten(before, chosen, data, verify, isolated, progress, tune=tune, own=own)


def rewritten(
    before: Graph,
    chosen: Pipeline,
    data: Data | None,
    verify: bool,
    isolated: bool,
    progress: Progress,
    *,
    tune: bool = False,
    own: bool = False,
) -> Result:
    """What a pipeline makes of a graph, checked; `own` is one that nobody else holds.

    The whole is run as it leaves: for mlir compiled from linalg, for triton as PyTorch's module.
    Where each rewrite keeps its contract and the whole does not, the rule after which it does not
    is left out.
    """
    if data is not None:
        for _ in each_feed(data, before):  # what does not fit is said at once
            pass
    wrong: Application | None = None
    with uncollected(), Runtime(isolated=isolated) as runtime:
        graph = before if own and not verify else clone(before)  # without a check it is not kept
        counted = count_operators(before)
        if graph.header is not None:
            graph.header = replace(
                graph.header, calls=chosen.calls, wanted=chosen.opset or graph.header.wanted
            )
        budget = budget_for(graph, runtime)
        check = _checker(runtime) if verify else None
        measured: list[Measured] = []

        def after() -> Iterator[Group]:
            yield from chosen.then
            if tune:
                from graphwright import tuning

                budget_of = partial(budget_for, runtime=runtime)
                found = tuning.tune(
                    before, graph, chosen.lowering, budget_of, runtime, data, progress
                )
                tuning.note_measured(graph, found)
                measured.extend(found)
            slower = [each.rule for each in measured if not each.kept]
            yield from without(slower, chosen.lowering)

        calibration = Calibration(graph, runtime, data, progress)
        applied: list[Applied] = []
        unseen: list[str] = []
        changes: Sequence[Change] = ()
        if chosen.asked:
            done = run_groups(graph, chosen.first, budget, check, progress)
            served = in_use(graph)
            applied, unseen = apply_all(chosen.asked, calibration, budget, check, done)
            graph, changes = with_less(graph, served)
            done += run_groups(graph, chain(SIMPLIFY[:1], after()), budget, check, progress)
        else:
            done = run_groups(graph, chain(chosen.first, after()), budget, check, progress)
        kept, left_out = summarize(done)
        counts = counted, count_operators(graph)
        report = Report(*counts, kept, left_out, measured=tuple(measured))
        report.applied = applied
        report.notes += [*notes_of(before), *calibration.notes, *unseen, *map(str, changes)]
        for each in left_out:
            log.warning("%s was left out at %s: %s", each.rule, ", ".join(each.where), each.why)
        why_not = too_large(before) if verify else ""
        report.notes += [why_not] if why_not else []
        if verify and not why_not:
            progress("verifying the whole")
            contract = promised(done)
            one, other = alike(before, graph, changes) if changes else (before, graph)
            run = {"mlir": mlir_modules.compiled, "triton": triton_models.running}
            leaves = run.get(chosen.target)
            evaluate = runtime.evaluate if leaves is None else leaves(runtime, other)

            def compared(one: Graph, other: Graph) -> Verification:
                return verify_graphs(one, other, evaluate, runtime.evaluate64, data, contract)

            found = compared(one, other)
            if found.runs or found.ok or not found.skipped_why:
                report.verified = found
                report.drift = "" if found.ok else where_drift_begins(before, graph, runtime)
                if not (found.ok or chosen.asked):
                    wrong = first_wrong(
                        graph,
                        [application for application, _ in done.kept],
                        partial(compared, before),
                        progress,
                    )
            else:
                report.notes.append(not_run(before, found.skipped_why, data))
    if wrong is None:
        return Result(graph, report, done)
    less = chosen.less(wrong.rule)
    again = rewritten(before, less, data, verify, isolated, progress, tune=tune, own=own)
    again.report.left_out.append(left_out_for_all(wrong, report.verified))
    return again


def attentions(model: Graph | str | os.PathLike[str], *, isolated: bool = False) -> Attentions:
    """The attentions of a model, and why every other softmax is none; the graph is left as it is.

    `isolated` runs ONNX Runtime in a child process. Raises ModelError for bad models.
    """
    graph = clone(model) if isinstance(model, Graph) else load(model, inline=True)
    with uncollected(), Runtime(isolated=isolated) as runtime:
        budget = budget_for(graph, runtime)
        run_groups(graph, (*SIMPLIFY, BARE), budget, None)
        return survey_attentions(graph, budget)


def budget_for(graph: Graph, runtime: Runtime) -> Budget:
    """What rules may know of `graph`, and ask of the runtime."""
    opset = graph.header.wanted or graph.header.opsets.get("", 1) if graph.header else 0
    return Budget(
        lambda node: runtime.compute(node, graph),
        sizes=input_sizes(graph),
        opset=opset,
        supports=lambda op, dtype: runtime.supports(op, dtype, opset),
    )


def _checker(runtime: Runtime) -> Check:
    return lambda fragments: check_fragments(fragments, runtime.evaluate, runtime.evaluate64)


def verify(
    before: Graph | str | os.PathLike[str],
    after: Graph | str | os.PathLike[str],
    data: Data | None = None,
    *,
    isolated: bool = False,
) -> Verification:
    """Whether two models are the same function, within tolerance, and how far apart they are.

    Run on `data`, or on made inputs. Raises ModelError for bad models and data that does not fit.
    """
    before = before if isinstance(before, Graph) else load(before)
    after = after if isinstance(after, Graph) else load(after)
    with Runtime(isolated=isolated) as runtime:
        return verify_graphs(before, after, runtime.evaluate, runtime.evaluate64, data)
