"""How the embedded broker is configured: its JVM and Kafka's `server.properties`."""

from __future__ import annotations

from pathlib import Path

HOST = "127.0.0.1"

#: Starts in half the time, and takes little room: for demos and tests.
QUICK_JVM = [
    "-Xms64m",
    "-Xmx400m",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",  # no files in the system's temp folder
    "-Djava.awt.headless=true",
]
#: As Kafka's own start script has it: for measurements.
SERVER_JVM = [
    "-Xms1g",
    "-Xmx1g",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
]

_SERVER = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",  # a mistyped topic should be an error, not a topic
    "num.partitions": "12",
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),  # the default takes a third of our heap
    # After a kill the controller holds on to the dead broker's registration for this long.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}


def server_properties(
    folder: Path, port: int, controller_port: int, overrides: dict[str, str], protocol: str = "PLAINTEXT"
) -> str:
    """The text of `server.properties` for a broker that keeps its topics below `folder` and whose clients speak
    `protocol`.
    """
    settings = {
        **_SERVER,
        "listeners": f"{protocol}://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"{protocol}://{HOST}:{port}",
        "inter.broker.listener.name": protocol,
        "listener.security.protocol.map": f"{protocol}:{protocol},CONTROLLER:PLAINTEXT",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "log.dirs": str(folder.resolve() / "topics"),
        **overrides,
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())
