"""Which rules an event meets: remembered, but not at any price."""

from __future__ import annotations

from handmade import when

from streams.qualification.model.matching import LONGEST_REMEMBERED, REMEMBERED, Matcher
from streams.qualification.model.values import Rule

PRICING = Rule("pricing", "page_view", when("page_view", url="*/pricing*"), "web", points=10.0)
ANY = Rule("any", "page_view", when("page_view", url="*"), "web", points=1.0, also=True)


def test_a_value_is_judged_alike_whether_it_is_remembered_or_too_long_for_it() -> None:
    matcher = Matcher((PRICING, ANY))
    for url in ("/pricing", "/pricing" + "x" * LONGEST_REMEMBERED, "/", "/" + "x" * LONGEST_REMEMBERED):
        expected = (PRICING, ANY) if "pricing" in url else (ANY,)
        assert [matcher.matching({"url": url}) for _ in range(2)] == [expected, expected]
    assert set(matcher._verdicts) == {"/pricing", "/"}


def test_no_more_values_are_remembered_than_there_is_room_for() -> None:
    matcher = Matcher((PRICING,))
    for number in range(2 * REMEMBERED + 1):
        matcher.matching({"url": f"/{number}"})
        assert len(matcher._verdicts) <= REMEMBERED
