"""The options that a configuration gives to a command, as `--help` shows them."""

import sys
from collections.abc import Mapping
from typing import Literal

import pytest
from cyclopts import CycloptsError
from pydantic import BaseModel

from refsav.cli.app import new_app
from refsav.cli.main import app, main
from refsav.cli.options import takes_options_of
from refsav.config import Config, leaves
from refsav.datasets.synthetic.scene import SynthConfig
from refsav.flows.config.build import BuildConfig


@pytest.mark.parametrize(
    ("command", "model", "own"),
    [
        ("build", BuildConfig, ["--config"]),
        ("retry", BuildConfig, []),
        ("estimate", BuildConfig, ["--config", "--profile", "--like", "--videos"]),
        ("import", BuildConfig, ["--config"]),
        ("synth", SynthConfig, []),
    ],
)
def test_help_at_80_columns_shows_every_option_and_every_default_whole(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    model: type[BaseModel],
    own: list[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["refsav", command, "--help"])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as exited:
        main()
    lines = capsys.readouterr().out.splitlines()
    assert not exited.value.code
    assert max(map(len, lines)) <= 80
    for dotted, field in leaves(model):
        (line,) = [line.split() for line in lines if f"--{dotted.replace('_', '-')}" in line.replace("/", " ").split()]
        given = field.default[0] if isinstance(field.default, tuple) else field.default
        default = ("off", "on")[given] if isinstance(given, bool) else str(given) or "empty"
        assert line[-2] == f"[{default}]", line
    for option in own:
        assert any(option in line.split() for line in lines), option
    assert "…" not in "".join(line for line in lines if "--" in line)


def test_help_lists_every_command_in_a_group_and_takes_h(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []
    for flag in ("--help", "-h"):
        monkeypatch.setattr(sys, "argv", ["refsav", flag])
        with pytest.raises(SystemExit) as exited:
            main()
        assert not exited.value.code
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    headings = [line.split()[1] for line in shown[0].splitlines() if line.startswith("╭")]
    assert headings == ["Build", "Review", "Model", "Train", "Service", "Other", "Options"]


@pytest.mark.parametrize("name", [name for name in app if not name.startswith("-")])
def test_every_command_loads_and_shows_its_help(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["refsav", name, "-h"])
    with pytest.raises(SystemExit) as exited:
        main()
    assert not exited.value.code
    assert f"Usage: refsav {name}" in capsys.readouterr().out


class Table(Config):
    at_once: int = 2
    language_of: Literal["en", "any"] = "en"
    check_replies: bool = True
    share: float = 0.5
    some_names: tuple[str, ...] = ("a",)


class Settings(Config):
    inner_table: Table = Table()


def parse(*tokens: str) -> Mapping[str, object]:
    """What a command with the options of `Settings` receives."""

    @takes_options_of(Settings)
    def command(folder: str, /, *, overrides: Mapping[str, object]) -> Mapping[str, object]:
        return {"folder": folder, **overrides}

    one = new_app("one", "")
    one.command(command)
    result: Mapping[str, object] = one(
        ["command", "x", *tokens], exit_on_error=False, print_error=False, result_action="return_value"
    )
    return result


@pytest.mark.parametrize("between", ["-", "_"])
def test_a_key_is_an_option_in_both_spellings(between: str) -> None:
    typed = ["--inner_table.at_once", "7", "--no-inner_table.check_replies", "--inner_table.share=0.25"]
    typed += ["--inner_table.some_names", "b", "--inner_table.some_names", "c", "--inner_table.language_of", "any"]
    assert parse(*(one.replace("_", between) for one in typed)) == {
        "folder": "x",
        "inner_table.at_once": 7,
        "inner_table.check_replies": False,
        "inner_table.share": 0.25,
        "inner_table.some_names": ["b", "c"],
        "inner_table.language_of": "any",
    }


def test_only_the_keys_that_are_given_are_set_and_the_last_value_wins() -> None:
    assert parse() == {"folder": "x"}
    assert parse("--inner-table.at-once", "2", "--inner-table.check-replies") == {
        "folder": "x",
        "inner_table.at_once": 2,
        "inner_table.check_replies": True,
    }
    assert parse("--inner-table.at-once", "-3", "--inner-table.at-once", "5")["inner_table.at_once"] == 5


@pytest.mark.parametrize(
    ("option", "value"), [("at-once", "1.5"), ("at-once", "none"), ("share", "none"), ("language-of", "de")]
)
def test_a_value_of_another_type_is_refused(option: str, value: str) -> None:
    with pytest.raises(CycloptsError, match=f"Invalid value.*--inner-table.{option}"):
        parse(f"--inner-table.{option}", value)


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["review"], 2), (["--version"], 0), (["nope"], 2)])
def test_exit_codes_of_the_bare_command(
    arguments: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["refsav", *arguments])
    with pytest.raises(SystemExit) as exited:
        main()
    assert exited.value.code == code
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    assert printed.out if arguments != ["nope"] else "Unknown command" in printed.err


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("refsav.commands.run_flows.redraw_gallery", interrupted)
    monkeypatch.setattr(sys, "argv", ["refsav", "report", "runs/none"])
    with pytest.raises(SystemExit) as exited:
        main()
    assert exited.value.code == 130
    assert "resume" in capsys.readouterr().err
