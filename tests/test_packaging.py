"""What is built is whole: the wheel holds every module and works away from the checkout."""

import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import graphwright

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("ir", "passes", "frontends", "backends", "verification")


def run(*command: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def modules() -> Iterator[str]:
    """The path in the wheel of every module in the checkout."""
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            yield f"graphwright/{path.relative_to(ROOT).as_posix()}"
    for path in (ROOT / "src/graphwright").glob("*.py"):
        yield f"graphwright/{path.name}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the sdist as for a release, out of a copy: building leaves traces."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    left_out = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=left_out, dirs_exist_ok=True)
    run(sys.executable, "-m", "build", "--outdir", str(out), str(copy))
    assert len(list(out.glob("graphwright-*.tar.gz"))) == 1
    (built,) = out.glob("graphwright-*.whl")
    return built


def test_the_version_is_said_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert graphwright.__version__ == project["version"]


@pytest.mark.full
def test_the_wheel_holds_every_module(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    missing = sorted(set(modules()) - inside)
    assert not missing, f"the wheel lacks {missing}: is there an __init__.py in each folder?"
    assert "graphwright/py.typed" in inside


@pytest.mark.full
def test_the_wheel_works_where_there_is_no_checkout(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "env"
    venv.create(home, with_pip=True)
    python = str(home / "bin" / "python")
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", str(wheel), cwd=tmp_path)
    # The dependencies are borrowed through a .pth file. Those that lie in the borrowed folder are
    # not read, so the checkout that is installed there stays out of sight.
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    Path(site, "borrowed.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    program = "import graphwright.ir.graph as graph; print(graph.__file__)"
    where = run(python, "-c", program, cwd=tmp_path).strip()
    assert Path(where).is_relative_to(home)
    assert "Usage" in run(str(home / "bin" / "optimize"), "--help", cwd=tmp_path)
