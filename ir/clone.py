"""A graph copied, so that one can be changed and the other kept."""

from __future__ import annotations

from graphwright.ir.graph import Graph, Node, Value


def clone(graph: Graph) -> Graph:
    """A copy of `graph` and its bodies; constants and what files said of it are shared."""
    copies: dict[Value, Value] = {}

    def value_of(value: Value) -> Value:
        copy = copies.get(value)
        if copy is None:
            copy = copies[value] = Value(value.type, None, value.const, value.name, value.contents)
        return copy

    def node_of(node: Node) -> Node:
        return Node(
            node.op,
            tuple([None if v is None else value_of(v) for v in node.inputs]),
            node.attrs,
            tuple([value_of(v) for v in node.outputs]),
            tuple([value_of(v) for v in node.captures]),
            {name: clone(body) for name, body in node.bodies.items()}
            if node.bodies
            else node.bodies,
            node.origin,
            node.name,
            node.place,
            node.source,
        )

    inputs = tuple(value_of(v) for v in graph.inputs)
    nodes = {node: node_of(node) for node in graph.nodes()}
    return Graph(
        graph.name,
        inputs,
        node_of(graph.result),
        tuple(nodes[n] for n in graph.kept),
        graph.header,
        graph.functions,
        {value_of(v): const for v, const in graph.defaults.items()},
        graph.source,
    )
