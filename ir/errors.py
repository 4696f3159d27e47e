"""What can be wrong with what a user gave us, each a sentence."""

from __future__ import annotations


class ModelError(Exception):
    """A model that cannot be read, written or run; the message is one sentence for its user."""
