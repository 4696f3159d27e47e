"""Where a model may be read from and written to."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.onnx_building import info, model, node, weight

import graphwright as gw
from graphwright.ir.errors import ModelError


def _written(path: Path) -> Path:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    weights = [weight("w", np.ones((64, 64)))]
    onnx.save(model(nodes, [info("x", "B", 64)], [info("y", "B", 64)], weights), path)
    return path


def test_a_model_is_read_from_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelError, match="the model has to be a file"):
        gw.load(tmp_path / "pipe")


def test_a_link_that_is_written_to_stays(tmp_path: Path) -> None:
    graph = gw.load(_written(tmp_path / "m.onnx"))
    (tmp_path / "there").mkdir()
    link, target = tmp_path / "link.onnx", tmp_path / "there" / "out.onnx"
    link.symlink_to(target)
    gw.save(graph, link)
    assert link.is_symlink()
    assert not target.is_symlink()
    gw.load(target)


@pytest.mark.parametrize("linked", [False, True])
def test_the_file_that_weights_lie_in_is_not_written_over(linked: bool, tmp_path: Path) -> None:
    path = _written(tmp_path / "m.onnx")
    before, graph = path.read_bytes(), gw.load(path)
    out = path
    if linked:
        out = tmp_path / "link.onnx"
        out.symlink_to(path)
    with pytest.raises(ModelError, match="is read here"):
        gw.save(graph, out)
    assert path.read_bytes() == before


def test_nor_is_it_beside_what_is_written(tmp_path: Path) -> None:
    graph = gw.load(_written(tmp_path / "m.onnx.data"))
    with pytest.raises(ModelError, match="is read here"):
        gw.save(graph, tmp_path / "m.onnx")
