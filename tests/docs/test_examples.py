"""What the documentation shows is tried: Python blocks run, commands and options exist, links lead somewhere."""

import ast
import os
import re
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

import refsav
from tests.support.documentation import ROOT, Block, command_lines, links, python_blocks

BLOCKS = [block for block in python_blocks() if not block.copy_of]
"""Copies of tested files are compared in test_extension_examples.py; they import what they extend."""
GROUPS = ("review",)
"""Commands that only hold other commands."""


def named(block: Block) -> str:
    return f"{block.page}:{block.line}"


@pytest.mark.parametrize("block", BLOCKS, ids=named)
def test_a_block_imports_only_what_is_public_and_exists(block: Block) -> None:
    for node in ast.walk(ast.parse(block.body)):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "refsav":
            assert node.attr in refsav.__all__, f"{named(block)}: refsav.{node.attr} is not public"
        for module in modules:
            if module.split(".")[0] == "refsav":
                assert module in ("refsav", "refsav.extend"), f"{named(block)}: import {module} from refsav itself"
            elif block.is_run:
                assert find_spec(module.split(".")[0]), f"{named(block)}: there is no module {module}"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.is_run], ids=named)
def test_a_block_runs_on_the_demo(block: Block, demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demo)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", demo / "hf")
    exec(compile(block.body, named(block), "exec"), {"__name__": "__main__"})  # noqa: S102 - the block is ours


@cache
def help_of(*command: str) -> str:
    program = "from refsav.cli.main import main; main()"
    environment = {**os.environ, "COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        [sys.executable, "-c", program, *command, "--help"], env=environment, capture_output=True, text=True
    )
    return done.stdout if done.returncode == 0 else ""


@pytest.mark.parametrize(("place", "words"), command_lines("refsav"), ids=lambda value: str(value))
def test_a_command_and_its_options_exist(place: str, words: list[str]) -> None:
    command = tuple(words[: 2 if words[0] in GROUPS and len(words) > 1 else 1])
    shown = help_of(*(() if command[0].startswith("-") else command))
    assert shown, f"{place}: refsav {' '.join(command)} does not exist"
    for word in words:
        option = word.partition("=")[0]
        if re.fullmatch(r"--[a-z][\w.-]*", option) and option != "--help":
            assert re.search(rf"{re.escape(option)}(?![\w.-])", shown), f"{place}: {' '.join(command)} has no {option}"


def test_a_target_of_make_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for place, words in command_lines("make"):
        shown = [word for word in words if re.fullmatch(r"[a-z-]+", word)]
        assert set(shown[:1]) <= targets, f"{place}: make {' '.join(words)}"


def test_relative_links_lead_to_files() -> None:
    missing = [f"{page.name}: {target}" for page, target in links() if not (page.parent / target).exists()]
    assert not missing
