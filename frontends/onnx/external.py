"""Data of a model that lies in other files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import onnx
from google.protobuf.message import Message

from graphwright.frontends.onnx.types import tensor_type
from graphwright.ir.const import FileSlice, stamp_of
from graphwright.ir.errors import ModelError
from graphwright.ir.types import TensorType


@dataclass
class Folder:
    """The folder that a model lies in; a link to the model file has its target's folder too."""

    path: Path
    model: Path | None = None
    _found: dict[str, tuple[Path, int, tuple[int, ...]]] = field(default_factory=dict)

    def find(self, location: str, name: str) -> tuple[Path, int, tuple[int, ...]]:
        """The file at `location`, its size and its stamp.

        Raises ModelError when it is missing or, also by way of links, outside of the folder.
        """
        if location not in self._found:
            self._found[location] = self._resolved(location, f"the weight '{name}' lies in")
        return self._found[location]

    def _resolved(self, location: str, said: str) -> tuple[Path, int, tuple[int, ...]]:
        if not location or os.path.isabs(location) or "\0" in location:
            raise ModelError(f"{said} '{location}', which is no relative path")
        if ".." in location.replace("\\", "/").split("/"):
            raise ModelError(f"{said} '{location}', whose '..' may lead out of the model's folder")
        path = Path(os.path.realpath(self.path / location))
        roots = [os.path.realpath(self.path)]
        if self.model is not None:
            roots.append(os.path.dirname(os.path.realpath(self.model)))
        if not any(path.is_relative_to(root) for root in roots):
            raise ModelError(f"{said} '{location}', outside the model's folder")
        try:
            if not path.exists():
                raise ModelError(f"{said} '{location}', which is missing")
            if not path.is_file():
                raise ModelError(f"{said} '{location}', which is {_kind(path)}")
            return path, path.stat().st_size, stamp_of(path)
        except OSError as error:
            raise ModelError(f"{said} '{location}': {error.strerror}") from None


def _kind(path: Path) -> str:
    return "a folder" if path.is_dir() else "no regular file"


def external(proto: onnx.TensorProto, type_: TensorType, folder: Folder) -> FileSlice:
    """Where the data of a tensor in another file lies. Raises ModelError when it is not there."""
    about = {entry.key: entry.value for entry in proto.external_data}
    location = about.get("location", "")
    path, size, stamp = folder.find(location, proto.name)
    if type_.dtype == "str":
        raise ModelError(f"the weight '{proto.name}' holds strings, which lie in no other file")
    try:
        offset, length = int(about.get("offset", "0")), int(about.get("length", "-1"))
    except ValueError:
        raise ModelError(
            f"the weight '{proto.name}' has an offset or length that is no number"
        ) from None
    if "length" not in about:
        length = type_.nbytes or 0
    if offset < 0 or length < 0 or offset + length > size:
        raise ModelError(
            f"the weight '{proto.name}' lies at bytes {offset} to {offset + length} "
            f"of '{location}', which has {size}"
        )
    return FileSlice(path, offset, length, stamp)


def take_in(tensor: onnx.TensorProto, folder: Folder) -> None:
    """Put the data of a tensor that lies in another file into it, where nothing else keeps it."""
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return
    type_ = tensor_type(tensor)
    tensor.raw_data = external(tensor, type_, folder).map().tobytes()
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")


def tensors_in(message: Message) -> Iterator[onnx.TensorProto]:
    """All tensors that stand anywhere in a message."""
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for about, value in message.ListFields():
        if about.message_type is not None:
            for each in value if about.is_repeated else (value,):
                yield from tensors_in(each)
