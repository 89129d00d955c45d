"""The options that a configuration gives to a command, as `--help` shows them."""

import sys

import pytest
from pydantic import BaseModel

from refsav.cli.main import app, main
from refsav.cli.options import ConfigurableCommand
from refsav.config import leaves
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
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", None)  # which typer reads from the environment only once
    with pytest.raises(SystemExit) as exited:
        main()
    lines = capsys.readouterr().out.splitlines()
    assert not exited.value.code
    assert max(map(len, lines)) <= 80
    for dotted, field in leaves(model):
        (line,) = [line.split() for line in lines if f"--{dotted}" in line.replace("/", " ").split()]
        given = field.default[0] if isinstance(field.default, tuple) else field.default
        default = ("off", "on")[given] if isinstance(given, bool) else str(given) or "empty"
        assert line[-2] == f"[{default}]", line
    for option in own:
        assert any(option in line.split() for line in lines), option
    assert "…" not in "".join(line for line in lines if "--" in line)


def test_every_command_with_options_of_a_configuration_shows_them_so() -> None:
    for command in app.registered_commands:
        assert command.callback
        takes_some = hasattr(command.callback, "__wrapped__")
        assert (command.cls is ConfigurableCommand) == takes_some, command.callback.__name__
