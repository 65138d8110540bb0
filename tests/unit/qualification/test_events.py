from __future__ import annotations

import pytest
from handmade import DAY, START, event


@pytest.mark.parametrize(
    ("arrival", "judged", "heard"),
    [
        (START + DAY, START, START + DAY),
        (START - 1, START - 1, START - 1),  # a clock that runs ahead
        (-1, START, START),  # a producer that sends no timestamp
    ],
)
def test_an_event_happened_before_it_arrived(arrival: int, judged: int, heard: int) -> None:
    one = event("page_view", START, arrival=arrival)
    assert (one.occurred_at, one.arrival) == (judged, heard)
