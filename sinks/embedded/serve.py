"""Serve a folder: the lock, the socket, the engine, the loop, and their end in the reverse order.

Errors: CannotServeError (the folder or the port is taken, or the engine does not open).
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from sinks.embedded.engine import Engine, EngineError
from sinks.embedded.folder import FolderHeldError, FolderLock
from sinks.embedded.limits import Limits
from sinks.embedded.server import Doors

HOST = "127.0.0.1"
_BACKLOG = 128  # connections that wait to be accepted
_GRACE_SECONDS = 20
_WATCH_SECONDS = 0.5


class CannotServeError(Exception):
    """The message says what is in the way, and what to do."""


def serve(
    folder: Path,
    port: int = 8123,
    *,
    limits: Limits | None = None,
    ready_file: Path | None = None,
    password: str = "",
    parent: int | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, or until the process `parent` is no longer our parent."""
    folder = folder.absolute()
    if "?" in str(folder):
        raise CannotServeError(f"{folder}: the engine takes no path with a question mark")
    lock = FolderLock(folder)
    try:
        lock.take()
    except FolderHeldError as error:
        raise CannotServeError(str(error)) from None
    except OSError as error:
        raise CannotServeError(f"{folder}: {error.strerror}") from None
    try:
        with _listen(port) as listener:
            _run(folder, lock, listener, limits or Limits(), ready_file, password, parent)
    finally:
        lock.release()
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)


@contextlib.contextmanager
def _listen(port: int) -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen(_BACKLOG)  # at once: until then, another may bind it as well
        except OSError as error:
            raise CannotServeError(
                f"port {port} of {HOST} cannot be had ({error.strerror}): name another, or 0"
            ) from None
        yield listener


def _run(
    folder: Path,
    lock: FolderLock,
    listener: socket.socket,
    limits: Limits,
    ready_file: Path | None,
    password: str,
    parent: int | None,
) -> None:
    spool = folder / "spool"
    shutil.rmtree(spool, ignore_errors=True)
    spool.mkdir()
    try:
        engine = Engine(folder, spool, limits)
    except EngineError as error:
        raise CannotServeError(
            f"the engine does not open {folder}: {error}\n"
            "Is another program using the folder, or was it written by a later version?"
        ) from None
    url = f"http://{HOST}:{listener.getsockname()[1]}"
    doors = Doors(engine, spool, password)

    def ready() -> None:
        lock.tell(url)
        if ready_file is not None:
            text = json.dumps({"url": url, "pid": os.getpid(), "version": engine.version})
            draft = ready_file.with_name(ready_file.name + ".new")
            draft.write_text(text, encoding="utf-8")
            draft.replace(ready_file)
        sys.stdout.write(f"ClickHouse {engine.version} serves {folder} at {url}\n")
        sys.stdout.flush()

    server = _Server(
        uvicorn.Config(
            doors,
            loop="uvloop" if sys.platform != "win32" else "asyncio",
            http="httptools",
            lifespan="off",
            ws="none",
            access_log=False,
            log_level="error",
            server_header=False,
            date_header=True,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            backlog=_BACKLOG,
        )
    )
    try:
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(_serve(server, listener, doors, ready, parent))
    finally:
        shutil.rmtree(spool, ignore_errors=True)


async def _serve(
    server: "_Server",
    listener: socket.socket,
    doors: Doors,
    ready: Callable[[], None],
    parent: int | None,
) -> None:
    chores = asyncio.create_task(_chores(server, doors, ready, parent))
    try:
        await server.serve(sockets=[listener])
    finally:
        chores.cancel()
        await asyncio.to_thread(doors.close)


async def _chores(
    server: "_Server", doors: Doors, ready: Callable[[], None], parent: int | None
) -> None:
    """Say when the doors are open; then watch the parent, and the sessions nobody uses."""
    while not server.started:  # noqa: ASYNC110 - uvicorn has a flag, no event
        await asyncio.sleep(0.005)
    ready()
    while True:
        if parent is not None and os.getppid() != parent:
            server.should_exit = True
        doors.expire()
        await asyncio.sleep(_WATCH_SECONDS)


class _Server(uvicorn.Server):
    """uvicorn, which would die of the signal that it was told to end by."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Be told to end, and once more to be quick about it."""
        loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.handle_exit, number, None)
        yield
