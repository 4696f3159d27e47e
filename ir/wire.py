"""How protobuf frames a field that has a length, for all who read or write ONNX files."""

from __future__ import annotations


def varint(n: int) -> bytes:
    """A number as protobuf writes it."""
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def framed(number: int, length: int) -> bytes:
    """What stands before the content of a field of `length` bytes."""
    return varint(number << 3 | 2) + varint(length)
