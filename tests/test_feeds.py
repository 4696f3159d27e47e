import pickle

import numpy as np
import onnx
import pytest
from tests.models import encoder

from graphwright.backends.ort import pack
from graphwright.backends.ort.session import evaluate
from graphwright.frontends.onnx import from_proto
from graphwright.ir.dims import sym
from graphwright.ir.errors import ModelError
from graphwright.ir.graph import Graph, Value
from graphwright.ir.ops import apply, return_node
from graphwright.ir.types import SequenceType, TensorType
from graphwright.verification.arrays import slots_of
from graphwright.verification.feeds import Feed, make_feeds
from graphwright.verification.sizes import schemes, sizes_of


def model(signature: str, body: str, opset: int = 17) -> Graph:
    head = f'<ir_version: 8, opset_import: ["": {opset}, "com.microsoft": 1]>'
    return from_proto(onnx.parser.parse_model(f"{head} g {signature} {{ {body} }}"))


def kinds(graph: Graph) -> dict[str, str]:
    return {slot.value.name: slot.kind for slot in slots_of(graph)}


def runs(graph: Graph, feeds: list[Feed]) -> None:
    assert len(evaluate(pack(graph), feeds)) == len(feeds)


def test_a_transformer_runs_on_what_is_made_for_it() -> None:
    graph = from_proto(encoder())
    feeds = make_feeds(graph)
    runs(graph, feeds)
    assert sizes_of(graph) == ("batch", "seq")
    assert {feed["input_ids"].shape for feed in feeds} == {(2, 5), (1, 8), (3, 17)}
    ids = np.concatenate([feed["input_ids"].reshape(-1) for feed in feeds])
    assert (ids.min(), ids.max()) == (0, 22)
    assert {0, 1} == {int(n) for feed in feeds for n in feed["token_type_ids"].flat}
    masks = {feed.about: feed["attention_mask"].tolist() for feed in feeds}
    assert masks["batch=2, seq=5, no padding"] == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1]]
    assert masks["batch=2, seq=5, padding right"] == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]]
    assert masks["batch=2, seq=5, padding left"] == [[1, 1, 1, 1, 1], [0, 1, 1, 1, 1]]
    assert masks["batch=2, seq=5, padding middle"] == [[1, 1, 1, 1, 1], [1, 0, 1, 1, 1]]
    assert masks["batch=2, seq=5, padding dead"] == [[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]


def test_the_same_seed_makes_the_same_feeds_and_another_one_others() -> None:
    graph = from_proto(encoder())
    one, same, other = (make_feeds(graph, seed) for seed in (1, 1, 2))
    assert all((a[k] == b[k]).all() for a, b in zip(one, same, strict=True) for k in a)
    assert any(
        a["input_ids"].shape != b["input_ids"].shape for a, b in zip(one, other, strict=True)
    )


def test_sizes_can_be_fixed() -> None:
    graph = from_proto(encoder())
    for feed in make_feeds(graph, sizes={"seq": 7}):
        assert feed["input_ids"].shape[1] == feed["attention_mask"].shape[1] == 7


def test_feeds_go_to_other_processes_as_plain_dicts() -> None:
    assert type(pickle.loads(pickle.dumps(Feed({"x": 1}, "one")))) is dict


def test_ids_lie_in_their_table_whatever_is_done_to_them_first() -> None:
    graph = model(
        "(int32[N, S] ids, float[10, 4] table) => (float[N, M, 4] y)",
        """two = Constant<value_int: int = 2>()  one = Constant<value_ints: ints = [1]>()
        wide = Cast<to=7>(ids)  twice = Mul(wide, two)  more = Add(twice, one)
        deep = Unsqueeze(more, one)  flat = Squeeze(deep, one)  y = Gather(table, flat)""",
    )
    feeds = make_feeds(graph)
    runs(graph, feeds)
    ids = np.concatenate([feed["ids"].reshape(-1) for feed in feeds])
    assert ids.dtype == np.int32
    assert (ids.min(), ids.max()) == (0, 4)  # 2 ids + 1 points into a table of 10


def test_ids_are_bounded_by_every_table_and_may_be_negative_before_an_offset() -> None:
    graph = model(
        "(int64[N] ids) => (float[N, 2] y, float[N, 2] z)",
        """a = RandomNormal<shape=[9, 2]>()  b = RandomNormal<shape=[6, 2]>()
        three = Constant<value_int: int = 3>()  moved = Add(ids, three)
        y = Gather(a, moved)  z = Gather(b, moved)""",
    )
    ids = np.concatenate([feed["ids"] for feed in make_feeds(graph)])
    assert (ids.min(), ids.max()) == (0, 2)


@pytest.mark.parametrize(
    ("node", "low", "high"),
    [
        ("y = GatherElements<axis=1>(x, at)", 0, 5),
        ("y = ScatterElements<axis=0>(x, at, x)", 0, 3),
        ("y = GatherND(x, at)", 0, 3),
    ],
)
def test_indices_of_all_kinds_are_in_range(node: str, low: int, high: int) -> None:
    graph = model("(float[4, 6] x, int64[4, 6] at) => (float[A, B] y)", node)
    at = np.stack([feed["at"] for feed in make_feeds(graph)])
    assert low <= at.min()
    assert at.max() <= high


def test_a_table_of_unknown_size_has_the_size_chosen() -> None:
    graph = model("(float[V, 3] table, int64[N] ids) => (float[N, 3] y)", "y = Gather(table, ids)")
    feeds = make_feeds(graph)
    runs(graph, feeds)
    assert all(feed["ids"].max() < len(feed["table"]) for feed in feeds)
    assert any(feed["ids"].max() == len(feed["table"]) - 1 for feed in feeds)


def test_positions_count() -> None:
    graph = model(
        "(int64[B, S] position_ids, float[40, 3] table) => (float[B, S, 3] y)",
        "y = Gather(table, position_ids)",
    )
    for feed in make_feeds(graph):
        row = feed["position_ids"][0]
        assert (np.diff(row) == 1).all()
        assert row[0] >= 0
        assert row[-1] < 40


def test_contents_are_evaluated_under_the_sizes_chosen() -> None:
    batch, length = sym("B"), sym("S")
    x = Value(TensorType("f32", (batch * length, 4)), name="x")
    dims = Value(TensorType("i64", (3,)), name="dims", contents=(batch, length, 4))
    size = Value(TensorType("i64", ()), name="size", contents=2 * length)
    y = apply("Reshape", x, dims).outputs[0]
    graph = Graph("g", (x, dims, size), return_node([y, size], ["y", "size"]))
    for feed in make_feeds(graph):
        b, s, _ = feed["dims"].tolist()
        assert feed["x"].shape == (b * s, 4)
        assert feed["size"].tolist() == 2 * s
    assert len({feed["x"].shape for feed in make_feeds(graph)}) > 1


def test_what_says_how_large_is_small_and_fits() -> None:
    graph = model(
        "(float[B, 6] x, int64[3] shape, int64[1] k, int64 n)"
        " => (float y, float z, int64 i, int64 r)",
        """y = Reshape(x, shape)  z, i = TopK(x, k)
        zero = Constant<value_int: int = 0>()  one = Constant<value_int: int = 1>()
        r = Range(zero, n, one)""",
    )
    assert kinds(graph) == {"x": "float", "shape": "size", "k": "size", "n": "size"}
    runs(graph, make_feeds(graph))


def test_a_part_of_a_shape_is_what_its_place_in_the_shape_wants() -> None:
    graph = model(
        "(float[B, 6] x, int64[1] b) => (float[B, 2, 3] y)",
        """rest = Constant<value_ints: ints = [2, 3]>()
        shape = Concat<axis=0>(b, rest)  y = Reshape(x, shape)""",
    )
    feeds = make_feeds(graph)
    runs(graph, feeds)
    assert all(feed["b"].tolist() == [len(feed["x"])] for feed in feeds)


def test_floats_are_ordinary_and_at_the_edges() -> None:
    graph = model("(float[B, 4] x) => (float[B, 4] y)", "y = Exp(x)")
    tops = {feed.about.split(", ")[-1]: np.abs(feed["x"]).max() for feed in make_feeds(graph)[:4]}
    assert 1 < tops["B=2"] < 4
    assert 25 < tops["large numbers"] < 250
    assert 0 < tops["tiny numbers"] < 0.01
    assert tops["zero numbers"] == 0


@pytest.mark.parametrize(
    ("dtype", "want"), [("f16", "e"), ("f64", "d"), ("u8", "B"), ("str", "O"), ("c64", "F")]
)
def test_every_element_type_can_be_made(dtype: str, want: str) -> None:
    x = Value(TensorType(dtype, (2, 3)), name="x")
    graph = Graph("g", (x,), return_node([x], ["y"]))
    graph.result.attach()
    for feed in make_feeds(graph):
        assert feed["x"].dtype.char == want
        assert feed["x"].shape == (2, 3)


def test_what_cannot_be_made_is_said_in_a_sentence() -> None:
    some = Value(SequenceType(TensorType("f32", (2,))), name="parts")
    with pytest.raises(ModelError, match=r"no value of type Seq\[f32\[2\]\].*'parts'"):
        make_feeds(Graph("g", (some,), return_node([some], ["y"])))
    bare = Value(TensorType("f32"), name="x")
    with pytest.raises(ModelError, match="'x' has no shape"):
        make_feeds(Graph("g", (bare,), return_node([bare], ["y"])))


def test_defaults_are_not_made() -> None:
    graph = model("(float[2] x, float[2] w = {1.0, 2.0}) => (float[2] y)", "y = Add(x, w)")
    assert set(make_feeds(graph)[0]) == {"x"}


def test_sizes_that_operators_want_equal_are_equal() -> None:
    graph = model(
        "(float[A, B] x, float[C, D] y, float[E] z) => (float[F, G] r)",
        "s = MatMul(x, y)  r = Add(s, z)",
    )
    runs(graph, make_feeds(graph))
    (first, *others) = schemes(graph)
    for choice in first.choices:
        assert choice["B"] == choice["C"]
        assert choice["D"] == choice["E"]
        assert len({choice["A"], choice["B"], choice["D"]}) == 3
    assert any(len(set(choice.values())) == 1 for scheme in others for choice in scheme.choices)


def test_sizes_are_solved_for() -> None:
    graph = model(
        "(float[A, 4] x, float[B, 4] y, float[17, 4] z) => (float[17, 4] r)",
        "s = Concat<axis=0>(x, y)  one = Constant<value_float: float = 1.0>()  r = Add(s, z)",
    )
    runs(graph, make_feeds(graph))


def test_names_that_say_sums_are_sums() -> None:
    names = ("past_sequence_length", "sequence_length", "past_sequence_length + 1")
    past, now, more = (Value(TensorType("f32", (sym(n),)), name=n) for n in names)
    total = Value(TensorType("f32", (sym("total_sequence_length"),)), name="total")
    read = [past, now, more, total]
    graph = Graph("g", tuple(read), return_node(read, ["a", "b", "c", "d"]))
    for feed in make_feeds(graph):
        lengths = [len(feed[name]) for name in (*names, "total")]
        assert lengths[2:] == [lengths[0] + 1, lengths[0] + lengths[1]]
