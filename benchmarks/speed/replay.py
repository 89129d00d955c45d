"""Maximum rate of a server: the recorded requests of a build, sent again by a client that does nothing else."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from refsav.errors import RefSavError

MOST_HEAD_BYTES = 2**20
SEE_LOG = "look at the server's log"
CHAT = b"POST /v1/chat/completions "


class ReplayError(RefSavError):
    """A server did not answer a recorded request with status 200."""


async def replay(address: str, bodies: Sequence[bytes], in_flight: int) -> float:
    """Send requests over `in_flight` open connections; each sends the next request when it has received an answer.

    Args:
        address: The server, in the form of an engine's `addresses`.
        bodies: Bodies of POST /v1/chat/completions.
        in_flight: Requests in flight.

    Returns:
        Requests per second, from the first request to the last answer.

    Raises:
        ReplayError: If the status of an answer is not 200, or the connection is lost.
    """
    host, port = _host_and_port(address)
    waiting = iter(bodies)

    async def ask() -> None:
        reader, writer = await asyncio.open_connection(host, port, limit=MOST_HEAD_BYTES)
        for body in waiting:
            head = CHAT + b"HTTP/1.1\r\nhost: server\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            writer.writelines([head % len(body), body])
            try:
                answer, content = await read_message(reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                raise ReplayError("the connection was lost", fix=SEE_LOG, path=address) from None
            if b" 200 " not in answer.split(b"\r\n", 1)[0]:
                raise ReplayError(f"{answer[:80]!r} {content[:300]!r}", fix=SEE_LOG, path=address)
        writer.close()

    begin = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(in_flight)))
    return len(bodies) / (time.perf_counter() - begin)


async def read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read one HTTP message with a content-length; return head, including the empty line, and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = (line.partition(b":") for line in head.lower().split(b"\r\n"))
    length = next((int(value) for name, _, value in fields if name == b"content-length"), 0)
    return head, await reader.readexactly(length)


@contextmanager
def recording(address: str) -> Iterator[tuple[str, list[bytes]]]:
    """Run a proxy for a server that records the bodies of chat requests.

    Args:
        address: The server.

    Yields:
        The address of the proxy, and the bodies in the order of arrival.
    """
    bodies: list[bytes] = []
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        port = asyncio.run_coroutine_threadsafe(_listen(address, bodies), loop).result()
        yield f"http://127.0.0.1:{port}/v1", bodies
    finally:
        asyncio.run_coroutine_threadsafe(_end_tasks(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _listen(address: str, bodies: list[bytes]) -> int:
    host, port = _host_and_port(address)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(host, port, limit=MOST_HEAD_BYTES)
        try:
            while True:
                head, body = await read_message(reader)
                if head.startswith(CHAT):
                    bodies.append(body)
                server_writer.writelines([head, body])
                writer.writelines(await read_message(server_reader))
        except (asyncio.IncompleteReadError, ConnectionError):  # the client has disconnected
            pass
        finally:
            server_writer.close()
            writer.close()

    server = await asyncio.start_server(forward, "127.0.0.1", 0, limit=MOST_HEAD_BYTES)
    listening: int = server.sockets[0].getsockname()[1]
    return listening


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _host_and_port(address: str) -> tuple[str, int]:
    parts = urlsplit(address)
    return parts.hostname or "", parts.port or 80
