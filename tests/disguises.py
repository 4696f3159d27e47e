"""Models that are the same, and look otherwise."""

import numpy as np
import onnx


def disguised(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """The same model with other names inside, its nodes in another order that is legal."""
    rng = np.random.default_rng(seed)
    found = onnx.ModelProto()
    found.CopyFrom(model)
    fixed = {v.name for v in (*model.graph.input, *model.graph.output)} | {""}
    names = [n for node in model.graph.node for n in node.output]
    names += [t.name for t in model.graph.initializer]
    other = {n: f"n{i}" for n, i in zip(names, rng.permutation(len(names)), strict=True)}
    other |= {n: n for n in fixed}
    for tensor in found.graph.initializer:
        tensor.name = other[tensor.name]
    ready = {v.name for v in found.graph.input} | {t.name for t in found.graph.initializer} | {""}
    waiting = list(found.graph.node)
    for node in waiting:
        node.name = ""
        node.input[:] = [other[n] for n in node.input]
        node.output[:] = [other[n] for n in node.output]
    del found.graph.node[:]
    while waiting:
        able = [i for i, node in enumerate(waiting) if set(node.input) <= ready]
        node = waiting.pop(int(rng.choice(able)))
        ready |= set(node.output)
        found.graph.node.append(node)
    return found
