"""Serving: the command that a profile means, and the command that keeps a server until the user ends it."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from refsav.annotators.serving.profile import ServerRole, base_url, command, load_profile
from refsav.annotators.serving.serve import config_options, printed_command
from refsav.errors import ConfigError
from tests.support.stand_in_server import all_gone, free_port, model


@pytest.mark.parametrize("name", ["paper", "modern", "one-gpu", "cpu"])
@pytest.mark.parametrize("part", ["vlm", "judge"])
def test_shipped_profiles_make_a_command_that_trusts_no_foreign_code(name: str, part: ServerRole) -> None:
    served = load_profile(name).server(part)
    line = command(served)
    assert line[:3] == ["vllm", "serve", served.model]
    assert line[line.index("--host") + 1] == "127.0.0.1"
    assert not any("trust" in word for word in line)
    assert ("--limit-mm-per-prompt" in line) == (part == "vlm")


@pytest.mark.parametrize("name", ["paper", "modern", "one-gpu", "cpu"])
def test_eight_images_and_a_reply_fit_into_the_context(name: str) -> None:
    served = load_profile(name).vlm
    frames = 8 * served.figures.image_tokens(1024, 576)
    assert frames + 512 + 512 <= served.max_model_len


def test_vlm_and_judge_of_a_profile_do_not_share_a_port() -> None:
    for name in ("paper", "modern", "one-gpu", "cpu"):
        profile = load_profile(name)
        assert profile.vlm.port != profile.judge.port


def test_with_a_python_vllm_runs_as_a_module_without_the_working_directory() -> None:
    assert command(model(), python="there/python")[:4] == [
        "there/python",
        "-P",
        "-m",
        "vllm.entrypoints.openai.api_server",
    ]


def test_the_printed_command_survives_a_shell() -> None:
    served = model(environment={"NAME": "two words"})
    shown = printed_command(served, host="::", port=9)
    script = f'vllm() {{ printf \'%s\\n\' "$NAME" "$@"; }}; {shown}'
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said == ["two words", *command(served, host="::", port=9)[1:]]


def test_addresses_for_all_hosts_are_reachable_ones() -> None:
    assert base_url(model(), host="::", port=9) == "http://127.0.0.1:9/v1"
    assert base_url(model(), host="::1", port=9) == "http://[::1]:9/v1"
    assert "--vlm.addresses http://h/v1 --vlm.model qwen3-vl-8b" in config_options("vlm", model(), "http://h/v1")


def test_figures_turn_pixels_into_tokens_within_bounds() -> None:
    figures = load_profile("cpu").vlm.figures
    assert [figures.image_tokens(*size) for size in ((10, 10), (28, 280), (2000, 2000))] == [4, 10, 64]
    assert load_profile("cpu").judge.figures.image_tokens(480, 848) == 0


def test_an_unknown_profile_or_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cpu, modern, one-gpu, paper"):
        load_profile("papre")
    path = tmp_path / "own.toml"
    shipped = Path(load_profile.__code__.co_filename).parent / "profiles/cpu.toml"
    path.write_text(shipped.read_text().replace("max_model_len", "max_len", 1))
    with pytest.raises(ConfigError, match=r"vlm\.max_len"):
        load_profile(str(path))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_and_only_its_own_server(stand_in: Path, number: signal.Signals) -> None:
    script = textwrap.dedent(f"""
        from rich.console import Console
        from refsav.annotators.serving.serve import serve
        from refsav.annotators.serving.profile import load_profile
        serve("vlm", load_profile("one-gpu").vlm, Console(), port={free_port()})
    """)
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    command = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert command.stdout is not None
    try:
        said = [command.stdout.readline() for _ in range(3)]
        assert "--vlm.addresses http://127.0.0.1:" in said[1]
        command.send_signal(number)
        assert command.wait(15) == 0
        assert all_gone(int(pid) for pid in stand_in.read_text().split())
        assert bystander.poll() is None
    finally:
        command.kill()
        command.stdout.close()
        command.wait()
        bystander.kill()
        bystander.wait()
