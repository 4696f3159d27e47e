"""What can be wrong with what a user gave us, each a sentence."""

from __future__ import annotations


class ModelError(Exception):
    """A model that cannot be read, written or run; the message is one sentence for its user."""


class TooLarge(ModelError):
    """A size that is too large a formula, so that it is taken as one that is not known."""
