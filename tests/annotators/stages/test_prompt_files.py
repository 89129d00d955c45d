"""Prompts are files with digests; a field that a task does not have is refused before any work."""

from pathlib import Path

import pytest

from refsav.annotators.stages.prompt_files import FIELDS, load_prompts, prompts_digest
from refsav.errors import RecordError


def test_every_shipped_prompt_uses_its_fields_and_has_a_system_turn() -> None:
    prompts = load_prompts()
    for task, prompt in prompts.items():
        assert prompt.system
        assert all(f"${field}" in prompt.user for field in FIELDS[task])


def test_text_from_a_model_is_not_read_as_a_field() -> None:
    prompt = load_prompts()["judge"]
    assert "costs $5 and ${first}" in prompt.filled({"first": "costs $5 and ${first}", "second": "x"})


def test_own_prompts_win_and_change_the_digest(tmp_path: Path) -> None:
    (tmp_path / "scene.txt").write_text("Be brief.\n---\nDescribe: $description\n")
    own = load_prompts(tmp_path)
    assert own["scene"].filled({"description": "x", "masked": "y"}) == "Describe: x"
    assert own["video"] == load_prompts()["video"]
    assert prompts_digest(own) != prompts_digest(load_prompts())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("no line", "has no line `---`"),
        ("a\n---\n$colour\n", r"uses unknown fields: \$colour"),
        ("a\n---\ncosts $5\n", r"has a \$ that names no field"),
    ],
)
def test_a_prompt_that_cannot_be_used_says_why(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "scene.txt").write_text(content)
    with pytest.raises(RecordError, match=problem):
        load_prompts(tmp_path)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="there is no such folder"):
        load_prompts(tmp_path / "none")
