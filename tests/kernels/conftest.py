"""What holds for the tests of kernels."""

from collections.abc import Iterator

import pytest
from tests.kernels.interpreted import Child


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels are written to a folder of the tests, and not to their user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """A child process in which Triton interprets."""
    child = Child(tmp_path_factory.mktemp("kernels"))
    yield child
    child.stop()
