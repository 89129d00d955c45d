"""A real S3 server for tests: `rclone serve s3` over a folder, with one bucket."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

READY_WITHIN_S = 60.0
KEY, SECRET = "test-key", "test-secret"
BUCKET = "runs"


class S3Server:
    """A server that may be ended and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.bucket = folder / BUCKET
        self.bucket.mkdir(parents=True)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self._port = int(taken.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What whoever speaks to it has in his environment."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._port}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def start(self) -> None:
        address = f"127.0.0.1:{self._port}"
        rclone = Path(sys.executable).with_name("rclone")
        self._process = subprocess.Popen(
            [rclone, "serve", "s3", "--addr", address, "--auth-key", f"{KEY},{SECRET}", self._folder],
            env={**os.environ, "RCLONE_CONFIG": os.devnull},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + READY_WITHIN_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
            except OSError:
                assert self._process.poll() is None and time.monotonic() < end, "rclone does not start"
                time.sleep(0.05)
            else:
                return

    def end(self) -> None:
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Run a server over a new folder."""
    server = S3Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.end()
