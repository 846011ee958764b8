"""The embedded ClickHouse as a child process: start it, know its address, end it.

Imports nothing of the engine: half a gigabyte belongs into the child alone.
Errors: NotStartedError, with what the child said.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_ROOT = Path(__file__).resolve().parents[2]


class NotStartedError(Exception):
    """The child ended or did not answer in time."""


@dataclass
class Embedded:
    """A running engine; use it in a `with`, or call `stop`."""

    url: str
    process: "subprocess.Popen[bytes]"

    def stop(self, timeout_seconds: float = 30.0) -> int:
        """Let it finish what it does and end; the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def start(folder: Path, port: int = 0, *options: str, timeout_seconds: float = 60.0) -> Embedded:
    """Start an engine on `folder` that ends with this process; port 0 picks a free one."""
    with tempfile.TemporaryDirectory() as scratch:
        ready, said = Path(scratch) / "ready", Path(scratch) / "said"
        command = [sys.executable, "-m", "sinks.embedded", "--data", str(folder.absolute())]
        command += ["--port", str(port), "--ready-file", str(ready), "--die-with-parent", *options]
        with said.open("wb") as output:
            process = subprocess.Popen(command, cwd=_ROOT, stdout=output, stderr=output)
        deadline = time.monotonic() + timeout_seconds
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                text = said.read_text("utf-8", "replace").strip()[-2000:]
                raise NotStartedError(text or f"no answer after {timeout_seconds} s")
            time.sleep(0.01)
        return Embedded(json.loads(ready.read_text("utf-8"))["url"], process)
