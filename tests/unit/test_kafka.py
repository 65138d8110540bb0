from __future__ import annotations

import socket
import time

import pytest

from streams.kafka import BadBootstrap, BrokerUnreachable, reader_config, require_broker
from streams.reading import CannotRead, read_to_end


@pytest.mark.parametrize(
    "address",
    ["kafka", "kafka:", ":9092", "kafka:port", "kafka:0", "kafka:65536", "a:1,b", "", "http://x:9092", "a b:9092"],
)
def test_an_address_that_is_no_host_and_port_is_refused_at_once(address: str) -> None:
    with pytest.raises(BadBootstrap, match="is not HOST:PORT") as caught:
        require_broker(address)
    assert caught.value.exit_code == 2


def test_a_broker_that_is_not_there_is_told_within_the_time_given_and_nothing_else_is_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{reserved.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(BrokerUnreachable, match=f"{address} .connection refused.*leadstream broker"):
            require_broker(address, timeout=1.0)
    assert time.monotonic() - start < 3.0
    assert capfd.readouterr() == ("", "")


def test_a_listener_that_is_not_kafka_is_not_called_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(BrokerUnreachable, match="something listens there"):
            require_broker(address, timeout=1.0)


def test_who_reads_a_partition_to_its_end_need_not_wait_for_a_broker_that_is_away() -> None:
    with pytest.raises(CannotRead, match=r"Nothing is heard from Kafka for 0.5 s"):
        list(read_to_end(reader_config("127.0.0.1:1"), [("page-views", 0)], 0.5))
