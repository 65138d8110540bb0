"""A stock Faust agent with one table write per event, as its manual has it: `stock_faust.py BOOTSTRAP GROUP FOLDER`."""

from __future__ import annotations

import sys
from typing import Any

import faust
from work import Progress, decode, output_of, score

BOOTSTRAP, GROUP, FOLDER = sys.argv[1:4]
app = faust.App(
    GROUP,
    broker=f"kafka://{BOOTSTRAP}",
    datadir=FOLDER,
    store="memory://",
    value_serializer="raw",
    topic_partitions=12,
    topic_replication_factor=1,
    table_standby_replicas=0,
    web_enabled=False,
    broker_max_poll_records=2_000,
    consumer_auto_offset_reset="earliest",
)
views = app.topic("page-views", key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
out = app.topic(f"{GROUP}-out", key_serializer="raw", value_serializer="raw")
states: Any = app.Table("states", default=dict, partitions=12, key_type=str)
progress = Progress()


@app.agent(views)
async def qualify(stream: Any) -> None:
    async for value in stream:
        view = decode(value)
        lead_id = view["lead_id"]
        states[lead_id], crossed = score(states[lead_id], view)
        if crossed:
            await out.send(key=lead_id.encode(), value=output_of(lead_id, view))
        progress.add(1)


if __name__ == "__main__":
    sys.argv[1:] = ["worker", "--loglevel", "error"]
    app.main()
