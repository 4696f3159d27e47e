"""Attentions as exporters write them, and graphs that are almost one.

Composed from independent choices rather than listed: how keys are transposed, where the scale
stands, what a mask is made of, who shares keys, what the softmax is written as.
"""

from tests.attention_shapes.attention import Written, write
from tests.attention_shapes.claims import claim, faults
from tests.attention_shapes.enumeration import forms
from tests.attention_shapes.feeds import Feed, feeds
from tests.attention_shapes.form import AXES, Form
from tests.attention_shapes.near import NearMiss, near_misses
from tests.attention_shapes.truth import Truth

__all__ = [
    "AXES",
    "Feed",
    "Form",
    "NearMiss",
    "Truth",
    "Written",
    "claim",
    "faults",
    "feeds",
    "forms",
    "near_misses",
    "write",
]
