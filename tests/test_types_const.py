"""Types and constants: what may stand for what, and how data is held."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from graphwright.ir.const import FileSlice, content, from_array, from_slice
from graphwright.ir.dims import sym
from graphwright.ir.types import (
    BITS,
    NAMES,
    NUMPY,
    UNKNOWN,
    OpaqueType,
    OptionalType,
    SequenceType,
    TensorType,
)

B, S = sym("B"), sym("S")


def test_every_element_type_has_one_name() -> None:
    assert len(NAMES) == len(NUMPY)
    assert {NAMES[kind] for kind in NUMPY.values()} == set(NUMPY)


@pytest.mark.parametrize(
    ("promised", "other", "admitted"),
    [
        (TensorType("f32", (B, 4)), TensorType("f32", (B, 4)), True),
        (TensorType("f32", (B * S,)), TensorType("f32", (S * B,)), True),
        (TensorType("f32"), TensorType("f32", (2,)), True),
        (TensorType("f32", (2,)), TensorType("f32"), False),
        (TensorType("f32", (B,)), TensorType("f32", (S,)), False),
        (TensorType("f32", (2,)), TensorType("f64", (2,)), False),
        (SequenceType(TensorType("f32")), SequenceType(TensorType("f32", ())), True),
        (OptionalType(TensorType("f32")), SequenceType(TensorType("f32")), False),
        (TensorType("f32"), UNKNOWN, False),
        (UNKNOWN, TensorType("f32"), True),
        (OpaqueType("map"), UNKNOWN, True),
    ],
)
def test_what_may_stand_for_what(promised: object, other: object, admitted: bool) -> None:
    assert promised.admits(other) is admitted  # type: ignore[attr-defined]  # all types have it


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (TensorType("f32", (B, 4)), "f32[B, 4]"),
        (TensorType("i64", ()), "i64"),
        (TensorType("i64"), "i64[...]"),
        (SequenceType(OptionalType(TensorType("str", (2,)))), "Seq[Opt[str[2]]]"),
    ],
)
def test_how_types_are_written(kind: object, text: str) -> None:
    assert str(kind) == text


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        (TensorType("f32", (2, 3)), 24),
        (TensorType("u4", (3,)), 2),
        (TensorType("i2", (5,)), 2),
        (TensorType("f64", ()), 8),
        (TensorType("f64", (0, 7)), 0),
        (TensorType("f64", (B,)), None),
        (TensorType("f64"), None),
    ],
)
def test_bytes_in_a_file(kind: TensorType, size: int | None) -> None:
    assert kind.nbytes == size


def test_a_constant_keeps_what_it_was_given() -> None:
    array = np.arange(3.0)
    const = from_array(array)
    array[0] = 7
    assert const.load().tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="read-only"):
        const.load()[0] = 1


def test_a_constant_has_the_machine_s_byte_order() -> None:
    const = from_array(np.array([1, 2], ">i4"))
    assert const.type == TensorType("i32", (2,))
    assert const.load().dtype == np.int32
    assert const.load().tolist() == [1, 2]


def test_strings_are_objects() -> None:
    const = from_array(np.array(["a", "bc"]))
    assert const.type == TensorType("str", (2,))
    assert const.load().tolist() == ["a", "bc"]


def test_what_no_model_holds_is_refused() -> None:
    with pytest.raises(TypeError, match="datetime64"):
        from_array(np.array(["2026-01-01"], "datetime64[D]"))


def test_keys_are_equal_where_type_and_content_are() -> None:
    one = from_array(np.arange(100.0))
    assert one.key() == from_array(np.arange(100.0)).key()
    assert one.key() != from_array(np.arange(1.0, 101.0)).key()
    assert one.key() != from_array(np.arange(100.0).reshape(10, 10)).key()
    zeros = np.zeros(2, np.float32)
    assert from_array(zeros).key() != from_array(zeros.astype(np.int32)).key()
    assert from_array(zeros).key() != from_array(-zeros).key(), "-0.0 is another content"
    assert from_array(np.array(["a"])).key() == from_array(np.array(["a"], object)).key()


def test_content_is_that_of_the_elements_in_order() -> None:
    array = np.arange(6.0).reshape(2, 3)
    assert content(array.T) == content(np.ascontiguousarray(array.T))
    assert content(array.T) != content(array)


def test_large_data_in_files_is_the_same_where_it_is_the_same_place(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    np.zeros(1 << 16, np.float32).tofile(path)
    kind = TensorType("f32", (1 << 15,))
    first, second = (from_slice(kind, FileSlice(path, at, 1 << 17)) for at in (0, 1 << 17))
    again = from_slice(kind, FileSlice(path, 0, 1 << 17))
    assert first.key() == again.key()
    assert first.key() != second.key()


@pytest.mark.parametrize("offset", [0, 3, 4, 64])
@pytest.mark.parametrize("dtype", ["f32", "i64", "bf16", "bool", "u8"])
def test_slices_of_files_are_read_where_they_lie(tmp_path: Path, dtype: str, offset: int) -> None:
    path = tmp_path / "weights"
    array = np.array([[0, 1, 1], [1, 0, 1]]).astype(NUMPY[dtype])
    path.write_bytes(b"\xff" * offset + array.tobytes() + b"\xff")
    const = from_slice(TensorType(dtype, (2, 3)), FileSlice(path, offset, array.nbytes))
    assert const.load().dtype == array.dtype
    np.testing.assert_array_equal(const.load(), array)
    assert not const.load().flags.writeable


def test_an_empty_slice_opens_no_file() -> None:
    const = from_slice(TensorType("f32", (0, 3)), FileSlice(Path("nowhere"), 0, 0))
    assert const.load().shape == (0, 3)


def test_a_file_that_is_gone_is_an_error_only_when_it_is_read(tmp_path: Path) -> None:
    const = from_slice(TensorType("f32", (2,)), FileSlice(tmp_path / "gone", 0, 8))
    with pytest.raises(OSError, match="gone"):
        const.load()


@pytest.mark.parametrize(
    ("dtype", "numbers", "packed"),
    [
        ("u4", [1, 15, 7], b"\xf1\x07"),
        ("i4", [1, -1, 7, -8], b"\xf1\x87"),
        ("u2", [0, 1, 2, 3, 1], b"\xe4\x01"),
        ("i2", [0, 1, -2, -1], b"\xe4"),
    ],
)
def test_packed_elements_stand_lowest_bits_first(
    tmp_path: Path, dtype: str, numbers: list[int], packed: bytes
) -> None:
    path = tmp_path / "weights"
    path.write_bytes(packed)
    const = from_slice(TensorType(dtype, (len(numbers),)), FileSlice(path, 0, len(packed)))
    assert const.load().dtype == NUMPY[dtype]
    assert const.load().astype(int).tolist() == numbers


def test_packed_floats(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"\x72\x0f")
    const = from_slice(TensorType("f4e2m1", (3,)), FileSlice(path, 0, 2))
    assert const.load().dtype == ml_dtypes.float4_e2m1fn
    assert const.load().astype(float).tolist() == [1.0, 6.0, -6.0]
    assert BITS["f4e2m1"] == 4
