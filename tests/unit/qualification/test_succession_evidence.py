"""A model that follows another: evidence still adds up, and bookings are taken back exactly."""

from __future__ import annotations

from dataclasses import replace
from math import exp2

import pytest
from handmade import (
    DAY,
    DEFAULT,
    HOUR,
    activity,
    booking,
    buyer,
    days,
    download,
    pricing,
    profile,
)
from model_changes import known, succeeded, through, told, with_groups

from streams.qualification.decay import value_at
from streams.qualification.events import Qualified
from streams.qualification.model.values import Group
from streams.qualification.receipt import verify_receipt
from streams.qualification.step import step
from streams.qualification.succession import change_to, succeed


@pytest.mark.parametrize("half_life", [1, HOUR, 6 * HOUR])
def test_an_old_booking_is_taken_back_exactly_after_a_change_to_a_very_short_half_life(half_life: int) -> None:
    lead = known(profile(days(0), name="V"), booking(days(0)), activity(days(300), "email_reply"))
    model = with_groups(DEFAULT, intent=Group("intent", half_life))
    after = succeeded(lead, model, days(300)).lead
    assert after is not None
    left = after.groups["intent"][0]
    assert left == pytest.approx(60 * exp2(-300 / 45))
    back = told([booking(days(300) + half_life, "CANCELLED")], model, after)
    assert back is not None
    assert abs(value_at(*back.groups["intent"], days(300) + half_life, half_life)) < 1e-9 * left


def test_the_receipt_adds_up_after_a_change_of_half_lives() -> None:
    lead = known(buyer(days(0)), pricing(days(0)), download(days(3)), download(days(4), asset_id="other"))
    model = with_groups(DEFAULT, web=Group("web", 3 * DAY, cap=40.0), content=Group("content", 200 * DAY))
    after = succeeded(lead, model, days(10))
    assert after.lead is not None
    _, out = step(after.lead, booking(days(11)), days(11), model)
    (sql,) = [one.record for one in out if isinstance(one, Qualified)]
    assert verify_receipt(sql) == []
    assert {one["name"] for one in sql["evidence"]} >= {"demo", "content"}


def test_what_would_be_restated_as_absurd_points_becomes_one_of_the_others() -> None:
    lead = known(buyer(days(0)), pricing(days(0)), download(days(0)))
    model = with_groups(DEFAULT, web=Group("web", HOUR))
    after = succeeded(lead, model, days(90)).lead
    assert after is not None
    assert after.strongest["web"] == ()
    assert after.groups["web"][0] == pytest.approx(10 * exp2(-3))


def test_a_booking_is_taken_back_exactly_after_a_change() -> None:
    lead = known(profile(days(0), name="V"), booking(days(0)))
    model = with_groups(DEFAULT, intent=Group("intent", 9 * DAY))
    after = succeeded(lead, model, days(20)).lead
    assert after is not None
    assert value_at(*after.groups["intent"], days(20), 9 * DAY) == pytest.approx(60 * exp2(-20 / 45))
    cancelled = told([booking(days(30), "CANCELLED")], model, after)
    assert cancelled is not None
    assert value_at(*cancelled.groups["intent"], days(30), 9 * DAY) == pytest.approx(0, abs=1e-9)


def test_a_booking_whose_group_is_gone_gives_nothing_when_the_group_is_there_again() -> None:
    """A group that is gone takes its points along, so there is nothing to be taken back either."""
    lead = known(buyer(days(0)), booking(days(0)))
    gone = with_groups(DEFAULT, "gone", intent=None)
    back = replace(DEFAULT, version="back")
    waiting = through(lead, (DEFAULT, 0), (gone, days(1))).lead
    assert waiting is not None
    cancelled, _ = step(waiting, booking(days(2), "CANCELLED"), days(2), gone)
    assert cancelled is not None
    changes = [change_to(gone, 0, days(1), 0), change_to(back, 0, days(3), 0)]
    after = succeed(cancelled, None, changes, {gone.identity: gone, back.identity: back}).lead
    assert after is not None
    assert "intent" not in after.groups
    assert (after.bookings[0].given, after.bookings[0].owed) == ((), ())
