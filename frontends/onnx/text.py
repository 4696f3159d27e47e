"""Text in messages: protobuf gives what is not UTF-8 as bytes, wherever it stands."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import Message

NOT_TEXT = "a name in the model is not UTF-8 text"
STRING = 9  # protobuf's number for fields that hold text


def texts_in(message: Message) -> Iterator[str | bytes]:
    """All text in a message, and in those that stand in it."""
    for about, value in message.ListFields():
        each = value if about.is_repeated else (value,)
        if about.type == STRING:
            yield from each
        elif about.message_type is not None:
            for inner in each:
                yield from texts_in(inner)
