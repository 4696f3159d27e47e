"""Written-out forms of fused operators, and graphs that are almost such a form.

``spellings`` are to be fused, ``near_misses`` are not, and ``doubtful`` ones may be either way.

Composed from independent choices rather than listed: which product is grouped how, which
operand stands first, which of several equal operators is used, and how it is all stored.
"""

from collections.abc import Iterator

from tests.spellings.activations import activations
from tests.spellings.doubtful import doubtful
from tests.spellings.near import near_misses
from tests.spellings.normalizations import normalizations
from tests.spellings.softmaxes import softmaxes
from tests.spellings.spelling import Spelling

__all__ = ["Spelling", "doubtful", "near_misses", "spellings"]


def spellings() -> Iterator[Spelling]:
    """Every positive form."""
    yield from activations()
    yield from softmaxes()
    yield from normalizations()
