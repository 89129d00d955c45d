"""A command `vllm` that loads no model, for tests of starting and ending servers."""

import socket
import time
from collections.abc import Iterable
from pathlib import Path

from refsav.annotators.serving.profile import ServedModel, load_profile

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


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def model(**values: object) -> ServedModel:
    return load_profile("one-gpu").vlm.model_copy(update=values)


def all_gone(pids: Iterable[int], within_s: float = 5.0) -> bool:
    """Whether processes end soon: a killed worker needs a moment to die, on a busy machine a longer one."""
    remaining, end = set(pids), time.monotonic() + within_s
    while remaining and time.monotonic() < end:
        remaining = {pid for pid in remaining if is_alive(pid)}
        time.sleep(0.02)
    return not remaining


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"
