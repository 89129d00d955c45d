"""What the command line says before any work is done: wrong options and keys, wrong places, a run that is held."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from refsav.cli.main import main
from refsav.datasets.run.run_directory import RunDirectory
from refsav.disk.lock import exclusive
from refsav.flows.config.build import BuildConfig, keep_settings, read_settings
from tests.support.command import Finished

CopyClips = Callable[..., Path]
Command = Callable[..., Finished]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line in this process; nothing here gets as far as Prefect."""

    def run(*arguments: str | Path) -> Finished:
        monkeypatch.setattr(sys, "argv", ["refsav", *map(str, arguments)])
        monkeypatch.setenv("TERMINAL_WIDTH", "200")
        with pytest.raises(SystemExit) as exited:
            main()
        printed = capsys.readouterr()
        return Finished(int(exited.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def source(copy_clips: CopyClips, tmp_path: Path) -> Path:
    return copy_clips(tmp_path / "source", "vos_000002")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("option", "nearest"),
    [
        ("--views.frame", "--views.frames"),
        ("--vlm.adresses", "--vlm.addresses"),
        ("--confg", "--config"),
        ("--runner.bundles_at_onc", "--runner.bundles-at-once"),
    ],
)
def test_a_wrong_option_stops_before_any_work_and_names_the_nearest(
    command: Command, source: Path, run: Path, option: str, nearest: str
) -> None:
    refused = command("build", source, run, option, "3")
    assert refused.code == 2
    said = re.sub(r"[│\s]+", " ", refused.err)
    assert f"Unknown option: {option}" in said
    assert nearest in said
    assert not run.exists()


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("[views]\nframe = 3\n", "views.frame: there is no such key; did you mean views.frames?"),
        ("[view]\nframes = 3\n", "view: there is no such key; did you mean views?"),
        ("frames = 3\n", "frames: there is no such key; did you mean views.frames?"),
        ("[vlm]\napi_key = 'sk-1'\n", "vlm.api_key: there is no such key; did you mean vlm.api_key_variable?"),
        ("[views]\nframes = 0\n", "views.frames: Input should be greater than or equal to 1 (is 0)"),
        ("[views]\nframes = 'eight'\n", "views.frames: Input should be a valid integer"),
        ("[views\n", "is not TOML"),
    ],
)
def test_a_wrong_key_stops_before_any_work_and_names_the_nearest(
    command: Command, source: Path, run: Path, tmp_path: Path, toml: str, problem: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(toml)
    refused = command("build", source, run, "--config", path)
    assert refused.code == 1
    assert str(path) in refused.err
    assert problem in refused.err
    assert "Traceback" not in refused.err
    assert not run.exists()


def test_the_command_line_wins_over_the_file_and_its_values_are_checked(
    command: Command, source: Path, run: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[views]\nframes = 4\n")
    refused = command("build", source, run, "--config", path, "--views.frames", "0")
    assert "views.frames: Input should be greater than or equal to 1 (is 0)" in refused.err
    missing = command("build", source, run, "--config", tmp_path / "none.toml")
    assert "none.toml: cannot be read: No such file or directory\n  fix: " in missing.err
    assert (refused.code, missing.code) == (1, 1)


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("none", "there is no such folder"),
        ("empty", "holds no videos in either of SA-V's layouts"),
        ("file", "is a file, not a folder"),
    ],
)
def test_a_source_without_videos_is_reported_at_once(
    command: Command, run: Path, tmp_path: Path, place: str, problem: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    refused = command("build", tmp_path / place, run)
    assert refused.code == 1
    assert re.fullmatch(rf"error: {re.escape(str(tmp_path / place))}: {problem}\n  fix: .*\n", refused.err)
    assert not run.exists()


def test_an_unusable_run_directory_is_reported_at_once(command: Command, source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file/run", Path("/proc/run")):
        refused = command("build", source, place)
        assert refused.code == 1
        fix = "choose another place: a part of this path is no folder, or cannot be made"
        assert re.fullmatch(rf"error: {place}/\.lock: cannot be written: .*\n  fix: {fix}, then .*\n", refused.err)


def test_a_file_is_no_run_directory(command: Command, source: Path, tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("words")
    for arguments in (("build", source, file), ("demo", file)):
        refused = command(*arguments)
        assert refused.code == 1
        assert refused.err.startswith(f"error: {file}: is a file, not a folder\n  fix: name a new folder")
    assert (file.read_text(), file.with_name("README.md-scenes").exists()) == ("words", False)


def test_a_second_build_of_a_run_names_the_process_that_works_on_it(command: Command, source: Path, run: Path) -> None:
    with exclusive(run):
        refused = command("build", source, run)
        holder = (run / ".lock").read_text().strip()
    assert refused.code == 1
    assert re.match(r"process \d+ on \S+$", holder)
    assert refused.err.startswith(f"error: {run}: {holder} is working on this run\n  fix: wait until it has ended")


def test_a_lock_dies_with_its_holder(run: Path) -> None:
    code = (
        f"from pathlib import Path; from refsav.disk.lock import exclusive; import os\n"
        f"with exclusive(Path({str(run)!r})): os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    with exclusive(run):
        pass


@pytest.mark.parametrize("verb", ["retry", "report", "stats"])
def test_a_folder_that_is_not_a_run_is_an_error(command: Command, tmp_path: Path, verb: str) -> None:
    refused = command(verb, tmp_path)
    assert refused.code == 1
    assert refused.err.startswith(f"error: {tmp_path}: not a run directory\n  fix: ")


def test_an_unusable_prompt_is_reported_at_once(command: Command, source: Path, run: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/scene.txt").write_text("system\n---\n$descripton\n")
    refused = command("build", source, run, "--stages.prompts", tmp_path / "prompts")
    assert refused.code == 1
    assert (
        "scene.txt: uses unknown fields: $descripton\n  fix: the fields of this prompt are: $description" in refused.err
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [("--vlm.addresses", "http://user:sk-secret@host:8000/v1"), ("--vlm.api_key_variable", "sk-secret")],
)
def test_a_key_in_the_wrong_place_is_refused_and_not_repeated(
    command: Command, source: Path, run: Path, option: str, value: str
) -> None:
    refused = command("build", source, run, option, value)
    assert refused.code == 1
    assert option.removeprefix("--") in refused.err
    assert "sk-secret" not in refused.err


def test_a_run_resumes_only_with_the_settings_that_its_texts_depend_on(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    before = BuildConfig.from_mapping({"views": {"frames": 4}}, "test")
    keep_settings(run, tmp_path, before)
    reached = {"addresses": ["http://other:1/v1"], "timeout_s": 1.0, "backoff_s": 2.0, "give_up_after": 3, "tries": 1}
    free = BuildConfig.from_mapping({"views": {"frames": 4}, "vlm": reached, "shards": {}}, "test")
    keep_settings(run, tmp_path, free)
    assert read_settings(run) == (tmp_path, free)
    tied = BuildConfig.from_mapping({"vlm": {"model": "b"}, "stages": {"seed": 7}}, "test")
    with pytest.raises(Exception, match="this run was started with other settings") as caught:
        keep_settings(run, tmp_path, tied)
    assert [line.strip() for line in str(caught.value).splitlines()[1:-1]] == [
        "views.frames: was 4, now 8",
        "stages.seed: was 0, now 7",
        "vlm.model: was '', now 'b'",
    ]
    assert read_settings(run) == (tmp_path, free)


def test_an_estimate_counts_what_can_be_described_and_what_cannot_be_read(
    command: Command, copy_clips: CopyClips, source: Path
) -> None:
    copy_clips(source, "vos_000001")
    (source / "vos_000001.mp4").unlink()
    estimated = command("estimate", source, "--profile", "one-gpu")
    reported = "2 videos (all read): 1 object to describe in 1 of them, 2 that cannot be read\n"
    assert estimated.out.startswith(reported)
    assert "GPU-hours" in estimated.out
    assert "CPU-hours" in command("estimate", source, "--profile", "cpu").out
    planned = command("estimate", source, "--of-videos", "2000", "--gpus", "40", "--euros", "2")
    assert planned.out.startswith("2,000 videos (2 read): 1,000 objects to describe in 1,000 of them")
    assert re.search(r"on 40 of them, \d+% for the judge: \d+ minutes, \d\.\d\d euros at 2.00 an hour", planned.out)
    small = command("estimate", source, "--profile", "cpu", "--euros", "2").out
    assert re.search(r"on 2 of them, \d+% for the judge: \d+ seconds, 0\.\d\d euros at 2.00 an hour", small)


def test_a_folder_s_name_is_no_markup(command: Command, tmp_path: Path) -> None:
    made = command("synth", tmp_path / "s[x]", "--videos", "1", "--frames", "16")
    assert made.out == f"scenes: 1 video in {tmp_path}/s[x]\n"


def test_printing_a_local_server_shows_how_to_serve_others(command: Command) -> None:
    local = command("serve", "vlm", "--print")
    assert local.out.count("\n") == 1
    assert "--host 127.0.0.1" in local.out
    others_reach_it = r"--host 0\.0\.0\.0, in a private network or with VLLM_API_KEY"
    assert re.match(rf"# only that machine itself reaches 127\.0\.0\.1; .*{others_reach_it}", local.err)
    others = command("serve", "vlm", "--print", "--host", "0.0.0.0")  # noqa: S104 - printed only
    assert ("--host 0.0.0.0" in others.out, others.err) == (True, "")


def test_a_page_that_cannot_be_served_is_an_error(command: Command, tmp_path: Path) -> None:
    missing = command("ui", tmp_path / "sa2va", "--port", "0")
    assert (missing.code, missing.out) == (1, "")
    assert "there is no such directory" in missing.err
    unlike = command("ui", tmp_path, "--examples", tmp_path / "pictures")
    assert "pictures: there is no such folder" in unlike.err and "fix:" in unlike.err


def test_help_answers_at_once_and_names_every_command() -> None:
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "from refsav.cli.main import main; main()", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    for verb in ("demo", "build", "retry", "report", "stats", "estimate", "serve", "synth", "import", "ui"):
        assert re.search(rf"\b{verb}\b", shown.stdout)
    assert "prefect" not in shown.stderr
