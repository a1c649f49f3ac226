"""A model of a short training, and images."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "data" / "hymenoptera"


def program(name):
    """The program of the wheel, or of the checkout's last build."""
    installed = Path(sys.executable).with_name(name)
    found = installed if installed.is_file() else ROOT / "target" / "release" / name
    if not found.is_file():
        found = shutil.which(name)
    assert found, f"`{name}` was not found: install the wheel, or run `cargo build --release --workspace`"
    return str(found)


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A run of one epoch on the drawn ants and bees."""
    runs = tmp_path_factory.mktemp("runs")
    command = [program("trainer"), "fit", "--epochs", "1", "--runs", str(runs), "--quiet"]
    subprocess.run(command, check=True)
    return runs / "1"


@pytest.fixture(scope="session")
def model(run):
    return str(run / "model.onnx")


@pytest.fixture(scope="session")
def photos():
    """The 153 test photos of ants and bees."""
    if not SHARED.is_dir():
        if os.environ.get("CI"):
            pytest.fail("the photos are missing in ../shared/data/hymenoptera")
        pytest.skip("needs the photos in ../shared/data/hymenoptera")
    return sorted(str(path) for path in SHARED.glob("*/*/*.jpg"))[-153:]


@pytest.fixture(scope="session")
def deploy():
    return program("deploy")
