"""Which forms there are: every pair of choices that go together, and then at random."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import combinations
from typing import TypeAlias

from tests.attention_shapes.fitting import go_together
from tests.attention_shapes.form import AXES, Form

Chosen: TypeAlias = "dict[str, str]"
Pair: TypeAlias = "tuple[str, str, str, str]"

TRIES = 20


def forms(count: int, seed: int = 0) -> list[Form]:
    """`count` different forms, the same for the same seed; every pair that is possible occurs."""
    rng = random.Random(seed)
    found: dict[Form, None] = {Form(): None}
    seen = _pairs(Form())
    for pair in _possible_pairs():
        if pair not in seen:
            form = _completed({pair[0]: pair[1], pair[2]: pair[3]}, rng)
            if form is not None:
                found[form] = None
                seen |= _pairs(form)
    while len(found) < count:
        form = _completed({}, rng)
        if form is not None:
            found[form] = None
    return list(found)


def is_covering(found: Iterable[Form]) -> bool:
    """Whether each choice stands beside each of another axis, if the two go together at all.

    Some pairs are possible only in theory: each goes with the other, but nothing with both.
    """
    seen = set[Pair]().union(*(_pairs(form) for form in found))
    rng = random.Random(1)
    missing = [pair for pair in _possible_pairs() if pair not in seen]
    return not any(_completed({p[0]: p[1], p[2]: p[3]}, rng) for p in missing)


def _pairs(form: Form) -> set[Pair]:
    return {(a, b, c, d) for (a, b), (c, d) in combinations(form.chosen().items(), 2)}


def _possible_pairs() -> list[Pair]:
    return [
        (a, x, b, y)
        for a, b in combinations(AXES, 2)
        for x in AXES[a]
        for y in AXES[b]
        if go_together(a, x, {b: y})
    ]


def _completed(chosen: Chosen, rng: random.Random) -> Form | None:
    """A form with the choices given; None if none was found."""
    for _ in range(TRIES):
        made = _try(dict(chosen), rng)
        if made is not None:
            return made
    return None


def _try(chosen: Chosen, rng: random.Random) -> Form | None:
    order = [axis for axis in AXES if axis not in chosen]
    rng.shuffle(order)
    for axis in order:
        fitting = [choice for choice in AXES[axis] if go_together(axis, choice, chosen)]
        if not fitting:
            return None
        chosen[axis] = rng.choice(fitting)
    return Form(**chosen)
