"""The wheel and the source distribution hold every module and data file, and run outside the checkout."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
FOLDERS = ("annotators", "benchmarks", "datasets", "flows", "model")
NOT_SHIPPED = {"README.md"}
"""Notes for those who read the code in the repository."""

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]  # builds and installs: needs a package index


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distributions")
    subprocess.run([UV, "build", "--quiet", "--out-dir", folder, ROOT], check=True, timeout=240)
    return folder


def shipped_files() -> set[str]:
    """Every file of the package as git has it, with its path inside the package."""
    listed = subprocess.run(
        ["git", "ls-files", "src/refsav", *FOLDERS], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    inside = {path.removeprefix("src/refsav/") for path in listed if not (ROOT / path).is_symlink()}
    return {path for path in inside if Path(path).name not in NOT_SHIPPED}


def test_the_wheel_holds_every_module_and_data_file(distributions: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    packed = {name.removeprefix("refsav/") for name in names if name.startswith("refsav/")}
    assert packed == shipped_files()


def test_the_source_distribution_holds_every_module_and_data_file(distributions: Path) -> None:
    (archive,) = distributions.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        names = [name.partition("/")[2] for name in source.getnames() if not source.getmember(name).isdir()]
    packed = {name.removeprefix("src/refsav/") for name in names}
    assert shipped_files() <= packed


def test_the_wheel_runs_the_demo_in_a_new_environment(distributions: Path, tmp_path: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    new = tmp_path / "environment"
    constraints = ROOT / "requirements/constraints.txt"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, new], check=True, timeout=60)
    install = [UV, "pip", "install", "--quiet", "--python", new / "bin/python", "-c", constraints, wheel]
    subprocess.run(install, check=True, timeout=280)
    outside = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    run = subprocess.run(
        [new / "bin/refsav", "demo", "runs/demo", "--videos", "3"],
        env={**outside, "PREFECT_HOME": str(tmp_path / "prefect")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert run.returncode == 0, run.stderr
    assert " + 0 failed" in run.stdout
    assert (tmp_path / "runs/demo/report/index.html").exists()
