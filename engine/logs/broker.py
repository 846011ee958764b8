"""One Apache Kafka node for tests and benches: its own jars by Maven, KRaft, a temporary folder.

Must live here: fetching, formatting, starting and ending that node. Must not: a client of it, or
anything a production cluster would need.

    python -m engine.logs.broker fetch
    python -m engine.logs.broker start [--dir DIR] [--port N]

`start` prints the bootstrap address once the node answers and runs until SIGTERM or Ctrl-C. Where
Java or Maven is missing, both say so and end with 1.
"""

import argparse
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Final

from engine.logs.redis_server import die_with_parent

HOME: Final = Path(__file__).resolve().parents[2] / ".kafka"
POM: Final = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>laike</groupId> <artifactId>kafka</artifactId> <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId> <artifactId>kafka_2.13</artifactId>
      <version>[4.0,5.0)</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId> <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""
NODE: Final = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=700
"""
HEAP: Final = "-Xmx512m"
READY_SECONDS: Final = 90.0
LINES_SHOWN: Final = 15


class BrokerFailed(Exception):  # noqa: N818 - a state of the world, not a fault of ours
    """There can be no broker here; the message says why and what to do."""


def missing() -> str:
    """Why no broker can run here, or nothing."""
    if not shutil.which("java"):
        return "no `java` on PATH: Kafka needs Java 17 or newer"
    if not jars() and not shutil.which("mvn"):
        return "no `mvn` on PATH: Maven fetches Kafka's jars"
    return ""


def jars() -> list[Path]:
    """Kafka's jars, when they have been fetched."""
    fetched = HOME / "libs"
    return sorted(fetched.glob("*.jar")) if (fetched / ".whole").exists() else []


def fetch() -> list[Path]:
    """Have Maven fetch the newest Kafka 4 and what it needs into .kafka/libs, once."""
    if why := missing():
        raise BrokerFailed(why)
    if not jars():
        libs = HOME / "libs"
        libs.mkdir(parents=True, exist_ok=True)
        (HOME / "pom.xml").write_text(POM)
        maven = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime"]
        done = subprocess.run(
            [*maven, f"-DoutputDirectory={libs}"],
            cwd=HOME,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BrokerFailed(f"Maven could not fetch Kafka:\n{_last(done.stdout + done.stderr)}")
        (libs / ".whole").touch()
    return jars()


def free_port() -> int:
    """A port of this machine that nothing listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Broker:
    """A running node; `bootstrap` is its address, `folder` holds its topics."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        port = port or free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        self.folder = folder
        self._port = port
        self._out = folder / "broker.log"
        self._classes = ":".join(str(jar) for jar in fetch())
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "server.properties"
        config.write_text(
            NODE.format(port=port, controller=free_port(), data=folder.absolute() / "data")
        )
        if not (folder / "data").exists():
            # Begun with a letter: a dash would look like an option.
            cluster = "L" + urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
            self._format(config, cluster)
        with self._out.open("ab") as out:
            self.process = subprocess.Popen(
                self._java("kafka.Kafka", str(config)),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one prctl, no Python locks there
            )

    def _java(self, main: str, *arguments: str) -> list[str]:
        logging = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        quick = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"]
        return ["java", HEAP, *quick, logging, "-cp", self._classes, main, *arguments]

    def _format(self, config: Path, cluster: str) -> None:
        command = self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BrokerFailed(f"Kafka's folder: {_last(done.stdout + done.stderr)}")

    def wait_ready(self, timeout: float = READY_SECONDS) -> None:
        """Return when the node takes connections; BrokerFailed with its last lines."""
        deadline = time.monotonic() + timeout
        while True:
            if self.process.poll() is not None:
                raise BrokerFailed(f"Kafka ended with {self.process.returncode}:\n{self._lines()}")
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
            except OSError as away:
                if time.monotonic() > deadline:
                    raise BrokerFailed(f"Kafka is not ready:\n{self._lines()}") from away
                time.sleep(0.1)
            else:
                return

    def _lines(self) -> str:
        return _last(self._out.read_text(errors="replace"))

    def stop(self) -> None:
        """End the node; a throw-away node needs no long good-bye."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _last(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines()[-LINES_SHOWN:])


def _run(folder: Path, port: int | None) -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    broker = Broker(folder, port)
    try:
        broker.wait_ready()
        sys.stdout.write(broker.bootstrap + "\n")
        sys.stdout.flush()
        while not stop.wait(0.5):
            if broker.process.poll() is not None:
                broker.wait_ready()  # raises, with the last lines
    finally:
        broker.stop()
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Fetch or start; 0 done, 1 it cannot be, 2 used wrongly."""
    parser = argparse.ArgumentParser(prog="python -m engine.logs.broker", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="fetch Kafka's jars")
    starting = commands.add_parser("start", help="start one node and keep it until SIGTERM")
    starting.add_argument("--dir", type=Path, help="its folder; a temporary one unless told")
    starting.add_argument("--port", type=int, help="its port; a free one unless told")
    told = parser.parse_args(arguments)
    try:
        if told.command == "fetch":
            sys.stdout.write(f"{len(fetch())} jars in {HOME / 'libs'}\n")
            return 0
        if told.dir:
            return _run(told.dir, told.port)
        with tempfile.TemporaryDirectory(prefix="laike-kafka-") as folder:
            return _run(Path(folder), told.port)
    except BrokerFailed as why:
        sys.stderr.write(f"kafka: {why}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
