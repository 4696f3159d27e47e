"""Graphs that look like an attention and are none, or another one than they look like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

from tests.attention_shapes import turns
from tests.attention_shapes import twists as t
from tests.attention_shapes.attention import Stage, Written, write
from tests.attention_shapes.claims import claim
from tests.attention_shapes.form import Form

SCORES, WEIGHTS = "masks", "weights"  # the stages after which scores and weights are as they stay
LAST = 2**31 - 1
ANY = object()  # of operands that were turned nothing says which axis is that of the heads
UNKNOWN: Mapping[str, object] = {"scale": None}
LIKE: Mapping[str, object] = {}
OTHERS: Mapping[str, object] = {"heads": ANY, "groups": ANY}
ITS_OWN = object()  # what stands between the contractions is no softmax, and is said to be none


@dataclass(frozen=True)
class Twist:
    """What is done to a form. `claim` says what may be claimed otherwise; None: nothing at all."""

    name: str
    instead: Mapping[str, Stage]
    claim: Mapping[str, object] | object | None = None
    alike: int | None = None
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class NearMiss:
    """A twisted form, and what a survey that finds it has to say; None: it must not find it.

    `weighs_otherwise`: it may be found, if it is said to have another normalizer than softmax, or
    left as it is with the reason.
    """

    name: str
    written: Written
    wanted: Mapping[str, object] | None
    weighs_otherwise: bool = False


PLAIN_SCORES = {"mask": ("none",), "bias": ("none",), "sinks": ("none",)}
APART = {"layout": ("bhsd",), **PLAIN_SCORES}
OPEN = {"sizes": ("static",), "softmax": ("last", "positive", "written")}
FULL = {"layout": ("bhsd",), "groups": ("one",), "sizes": ("static",), "sinks": ("none",)}

TWISTS = (
    # Something is done to the scores.
    *(Twist(f"scores through {op}", t.then(SCORES, t.on("scores", op)), ITS_OWN) for op in
      ("Relu", "Abs", "Exp", "Sigmoid", "Softplus", "Floor", "Erf", "Sin", "Softsign")),
    Twist("scores turned to their negatives", t.then("scale", t.on("scores", "Neg")),
          {"scale": lambda own: -own}, needs={"cap": ("none",)}),
    Twist("scores squared", t.then("scale", t.squared("scores")), UNKNOWN),
    Twist("scores clipped", t.then(SCORES, t.on("scores", "Clip", -1.0, 1.0)), ITS_OWN),
    Twist("scores not below 0", t.then(SCORES, t.on("scores", "Max", 0.0)), ITS_OWN),
    Twist("scores not above 0", t.then(SCORES, t.on("scores", "Min", 0.0)), ITS_OWN),
    Twist("a number less scores", t.then(SCORES, t.on("scores", "Sub", 1.0, number_first=True)),
          ITS_OWN),
    Twist("a number by scores", t.then(SCORES, t.on("scores", "Div", 1.0, number_first=True)),
          ITS_OWN),
    Twist("scores rounded", t.then("scale", t.quantized), ITS_OWN, needs=OPEN),
    Twist("a temperature by key", t.then("scale", t.times("scores", t.by_key)), UNKNOWN,
          needs={"sizes": ("static",)}),
    Twist("a temperature by query", t.then("scale", t.times("scores", t.by_query)), UNKNOWN,
          needs={"sizes": ("static",)}),
    Twist("one score scaled", t.then("scale", t.one_scaled), UNKNOWN,
          needs={"sizes": ("static",)}),
    Twist("-2 where keys are hidden", t.then("scale", t.filled(-2.0)), ITS_OWN,
          needs={"sizes": ("static",)}),
    Twist("-2 added where keys are hidden", t.then("scale", t.added(-2.0)), {"bias": True},
          needs={"sizes": ("static",)}),
    Twist("only large scores kept", t.then("scale", t.chosen_by_size("scores", -2.0)), ITS_OWN),
    Twist("a cap of 1", t.then("scale", t.on("scores", "Tanh")), {"cap": 1.0},
          needs={"cap": ("none",)}),
    Twist("a cap of 3", t.then("scale", t.capped(2.0, 3.0)),
          {"cap": 3.0, "scale": lambda own: own * 1.5}, needs={"cap": ("none",)}),
    Twist("a cap of 5", t.then("scale", t.capped(1.0, 5.0)),
          {"cap": 5.0, "scale": lambda own: own * 5}, needs={"cap": ("none",)}),
    Twist("a cap of 6", t.then("scale", t.capped(2.0, 2.0), t.on("scores", "Mul", 3.0)),
          {"cap": 6.0, "scale": lambda own: own * 3}, needs={"cap": ("none",)}),
    Twist("a cap on a cap", t.then("scale", t.capped(2.0, 2.0), t.capped(3.0, 3.0)), ITS_OWN,
          needs={"cap": ("none",)}),
    Twist("a cap over masks", t.then(SCORES, t.capped(2.0, 2.0)), ITS_OWN,
          needs={"cap": ("none",), "mask": ("int_lowest", "where_inf", "given_b11t", "int_1e4")}),
    Twist("less the largest of each key", t.then("scale", t.shifted_over_queries),
          {"bias": True}),
    # Something else is normalized.
    *(Twist(f"softmax over axis {axis}", {"softmax": t.softmax_over(axis)}, needs=APART)
      for axis in (0, 1, 2)),
    Twist("softmax over queries", {"softmax": t.softmax_over(-2)}, needs=PLAIN_SCORES),
    Twist("softmax over queries and keys", {"softmax": t.softmax_of_both},
          needs={**PLAIN_SCORES, "sizes": ("static", "batch")}),
    Twist("summed over queries", {"softmax": t.written_out(summed=-2)}, needs=PLAIN_SCORES),
    Twist("summed over heads", {"softmax": t.written_out(summed=1)}, needs=APART),
    Twist("shifted over queries", {"softmax": t.written_out(largest=-2)}, {"bias": True},
          needs=PLAIN_SCORES),
    Twist("1 more in the sum", {"softmax": t.written_out(more=1.0)}, ITS_OWN,
          needs=PLAIN_SCORES),
    Twist("a little more in the sum", {"softmax": t.written_out(more=0.1)}, ITS_OWN,
          needs=PLAIN_SCORES),
    Twist("divided by the sum of others", {"softmax": t.summed_of_others}, needs=PLAIN_SCORES),
    Twist("no exponential", {"softmax": t.normalized_without_exponential}, ITS_OWN,
          needs=PLAIN_SCORES),
    Twist("sigmoid for softmax", {"softmax": t.sigmoid}, ITS_OWN,
          needs=PLAIN_SCORES),
    # Something is done to the weights.
    Twist("weights through Relu", t.then(WEIGHTS, t.on("weights", "Relu")), ITS_OWN),
    Twist("weights through Sqrt", t.then(WEIGHTS, t.on("weights", "Sqrt")), ITS_OWN),
    Twist("weights squared", t.then(WEIGHTS, t.squared("weights")), LIKE),
    Twist("1 less weights", t.then(WEIGHTS, t.on("weights", "Sub", 1.0, number_first=True)),
          ITS_OWN),
    Twist("a number more than weights", t.then(WEIGHTS, t.on("weights", "Add", 0.5)), ITS_OWN),
    Twist("weights twice", t.then(WEIGHTS, t.on("weights", "Mul", 2.0)), LIKE),
    Twist("weights by key", t.then(WEIGHTS, t.times("weights", t.by_key)), LIKE,
          needs={"sizes": ("static",)}),
    Twist("only large weights kept", t.then(WEIGHTS, t.chosen_by_size("weights", 0.0)), ITS_OWN),
    Twist("weights renormalized", t.then(WEIGHTS, t.renormalized_over_queries)),
    Twist("a guard with 1", t.then(WEIGHTS, t.guarded("weights", 1.0)), ITS_OWN),
    Twist("a guard of other numbers", t.then(WEIGHTS, t.guarded("scores")), ITS_OWN),
    Twist("a guard the other way", t.then(WEIGHTS, t.guarded("weights", flipped=True)), ITS_OWN),
    Twist("softmax twice", t.then(WEIGHTS, t.on("weights", "Softmax")), ITS_OWN),
    # Others read what is inside.
    Twist("weights shown", t.then(WEIGHTS, t.shown("weights")), LIKE),
    Twist("scores shown", t.then("scale", t.shown("scores")), LIKE),
    Twist("masked scores shown", t.then(SCORES, t.shown("scores")), LIKE),
    # The sinks are taken away wrongly.
    *(Twist(f"a column {where}, and [{start}:{end}]",
            {"softmax": t.with_sinks(where == "first", start, end)}, needs=FULL)
      for where, start, end in (("first", 0, -1), ("last", 1, LAST))),
    Twist("two columns, of which one is kept", {"softmax": t.with_sinks(False, 1, -1, 2)},
          needs=FULL),
    # Axes that happen to be equally long are taken for each other.
    Twist("scores turned", t.then("scale", turns.turned("scores")), LIKE, 4, {**APART, **FULL}),
    Twist("weights turned", t.then(WEIGHTS, turns.turned("weights")), None, 4, {**APART, **FULL}),
    *(Twist(f"values by {equation}", {"values": turns.values_by(equation, ("b", "h", "s", "e"))},
            None, 4, FULL) for equation in ("bhts,bhte->bhse", "bhst,bhse->bhte")),
    # The same, and an attention all the same: of other operands than it looks like.
    *(Twist(f"keys permuted by {perm}", t.then("operands", turns.permuted("k", perm)),
            OTHERS, 4, FULL)
      for perm in ((0, 1, 3, 2), (0, 3, 2, 1), (3, 1, 2, 0), (0, 2, 1, 3), (2, 1, 0, 3))),
    *(Twist(f"values permuted by {perm}", t.then("layout", turns.permuted("v", perm)),
            OTHERS, 4, FULL)
      for perm in ((0, 1, 3, 2), (0, 2, 1, 3), (2, 1, 0, 3))),
    *(Twist(f"values by {equation}", {"values": turns.values_by(equation, ("b", "h", "s", "e"))},
            OTHERS, 4, FULL) for equation in
      ("bhst,bhet->bhse", "bhst,bthe->bhse", "bhst,thbe->bhse")),
    *(Twist(f"scores by {equation}", {"contract": turns.scores_by(equation)}, OTHERS, 4, FULL)
      for equation in ("bhsd,bhdt->bhst", "bhsd,bdth->bhst", "bhsd,dhtb->bhst",
                       "bhds,bhtd->bhst")),
    Twist("values of each query", {"values": turns.values_of_queries}, None, 4,
          {**FULL, "product": ("swap", "direct")}),
    # Other attentions than they look like, and rightly found.
    Twist("values in reverse", t.then("layout", turns.reversed_keys("v")), LIKE),
    Twist("keys in reverse", t.then("operands", turns.reversed_keys("k")), LIKE,
          needs={"scale": ("div", "mul", "run_time")}),
    *(Twist(f"heads of {names} interleaved", t.then("heads", turns.interleaved(*names)), LIKE,
            needs={**FULL, "length": ("self",), "split": ("apart", "packed_split")})
      for names in ("q", "qk", "v", "qkv")),
)  # fmt: skip

BASES = (
    Form(),
    Form(mask="int_lowest", scale="mul", source="projected", epilogue="projected"),
    Form(product="direct", mask="where_inf", scale="on_q", width="other"),
    Form(layout="merged", mask="given_b11t", split="packed_split", source="projected"),
    Form(groups="expand", length="cross", scale="both", width="other"),
    Form(split="packed_permute", sizes="batch", softmax="written", scale="on_k"),
    Form(kind="f16", softmax="upcast", scale="run_time", epilogue="none"),
    Form(cap="tanh", mask="int_1e4", after="dropout"),
    Form(length="cache", sizes="all", mask="causal_range", groups="gather"),
    Form(layout="grouped", groups="broadcast", bias="alibi", scale="mul_left"),
    Form(product="scores", scale="none", split="packed_slice", after="identity"),
    Form(product="double", scale="custom", source="projected", softmax="positive"),
)


def near_misses() -> Iterator[NearMiss]:
    """Every twist of every base that it fits."""
    for twist, base in product(TWISTS, BASES):
        chosen = base.chosen()
        if all(chosen[axis] in choices for axis, choices in twist.needs.items()):
            written = write(base, twist.instead, twist.alike)
            said = twist.claim
            wanted = _wanted(written, said) if isinstance(said, Mapping) else None
            yield NearMiss(f"{twist.name}: {base}", written, wanted, said is ITS_OWN)


def _wanted(written: Written, otherwise: Mapping[str, object]) -> Mapping[str, object]:
    """The claim of the form itself, but for what the twist changes."""
    left_out = ("causal", "window", "dead_rows")  # what a twist does to these is no matter here
    own = {name: value for name, value in claim(written).items() if name not in left_out}
    changed = {
        name: value(own[name]) if callable(value) else value for name, value in otherwise.items()
    }
    return {name: value for name, value in {**own, **changed}.items() if value is not ANY}
