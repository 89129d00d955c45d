"""The base install stays light: no torch among its packages, none imported before a model is asked for."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

HEAVY = ("torch", "torchvision", "transformers", "sam2", "accelerate", "gradio", "safetensors", "hydra", "datasets")
NOT_NEEDED = (
    "flash_attn",
    "xtuner",
    "mmcv",
    "mmengine",
    "mmdet",
    "decord",
    "qwen_vl_utils",
    "deepspeed",
    "timm",
    "peft",
)
"""What Sa2VA's official code wants installed."""


OF_EXTRAS = (*HEAVY, "PIL", "matplotlib", "peft", "tensorboard", "ray", "prefect_ray", "s3fs", "gcsfs", "pycocoevalcap")
ROOT = Path(__file__).parents[1]


def closure(name: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """Names of all packages that pip would install for a package, as their own metadata say."""
    found: set[str] = set()
    waiting = [(name, extras)]
    done: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        package, wanted = waiting.pop()
        if (package, wanted) in done:
            continue
        done.add((package, wanted))
        found.add(package)
        try:
            requirements = distribution(package).requires or []
        except PackageNotFoundError:  # of another system's: its marker would have said so
            continue
        for requirement in map(Requirement, requirements):
            chosen = wanted or {""}
            if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in chosen):
                waiting.append((requirement.name.lower().replace("_", "-"), frozenset(requirement.extras)))
    return found


def test_the_base_install_brings_no_learning_framework() -> None:
    base = closure("refsav")
    assert {"numpy", "prefect", "pydantic-core"} <= base  # the walk goes deeper than what is listed
    assert not base & {*HEAVY, *NOT_NEEDED}
    assert {"torch", "transformers", "sam2"} <= closure("refsav", frozenset({"model"}))


def test_the_model_extra_brings_nothing_of_the_official_codes_stack() -> None:
    assert not closure("refsav", frozenset({"model", "ui"})) & {name.replace("_", "-") for name in NOT_NEEDED}


def run(code: str, *arguments: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "--help"], ["train", "--help"]], ids=" ".join)
def test_the_command_line_starts_without_a_learning_framework(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "import refsav.cli.main\n"
        "try:\n"
        "    refsav.cli.main.main()\n"
        "except SystemExit as exited:\n"
        "    assert not exited.code, exited.code\n"
        f"print('LOADED', *sorted(set(sys.modules) & {set(HEAVY)!r}))\n"
    )
    assert run(code, *arguments).splitlines()[-1] == "LOADED"


def test_the_service_is_deployed_by_the_base_install() -> None:
    """A worker that only builds needs no torch; prefect.yaml names flows that train and measure all the same."""
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({OF_EXTRAS!r}))\n"  # None: an import of it fails
        "import yaml\n"
        "from prefect.utilities.callables import parameter_schema\n"
        "from prefect.utilities.importtools import import_object\n"
        "for deployment in yaml.safe_load(open(sys.argv[1]))['deployments']:\n"
        "    flow = import_object(deployment['entrypoint'])\n"
        "    flow.validate_parameters(deployment['parameters'])\n"
        "    print(flow.name, len(parameter_schema(flow).properties) > 0)\n"
    )
    shown = run(code, str(ROOT / "prefect.yaml")).splitlines()
    assert "train-sa2va True" in shown
    assert "nightly True" in shown


def test_the_model_is_imported_without_what_the_official_code_wants() -> None:
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({NOT_NEEDED!r}))\n"  # None: an import of it fails
        "import refsav.model.sa2va, refsav.model.training_step.forward\n"
        "print(refsav.model.sa2va.Sa2VA.__name__)\n"
    )
    assert run(code).strip() == "Sa2VA"
