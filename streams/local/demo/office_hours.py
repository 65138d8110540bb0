"""When people do things: working days and working hours, all in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
HISTORY_MS = 30 * DAY_MS
#: Any thirty days hold at least this many weekdays before the last of them.
WORKING_DAYS = 20
#: Traffic of a Saturday or Sunday beside that of a weekday.
_WEEKEND_SHARE = 0.25
#: How traffic spreads over the hours of a day: little at night, a dip at noon.
_HOURS = (1, 1, 1, 1, 1, 2, 4, 8, 20, 30, 32, 28, 18, 24, 30, 28, 22, 14, 8, 6, 5, 4, 3, 2)


class OfficeHours:
    """The thirty days that end at `end` (ms)."""

    def __init__(self, end: int) -> None:
        self.begin = end - HISTORY_MS
        self.end = end
        today = end - end % DAY_MS
        weekdays = [day for back in range(29, 0, -1) if _is_weekday(day := today - back * DAY_MS)]
        self._working_days = weekdays[-WORKING_DAYS:]
        self._days = [today - back * DAY_MS for back in range(30, -1, -1)]
        self._weights = [1.0 if _is_weekday(day) else _WEEKEND_SHARE for day in self._days]

    def on(self, working_day: int, hour: float) -> int:
        """`hour` (0 to 24) of the working day 1 (four weeks ago) to 20 (the last before today), in ms."""
        return self._working_days[working_day - 1] + int(hour * HOUR_MS)

    def sometime(self, random: Random) -> int:
        """An instant (ms) in the thirty days, drawn by the rhythm of the week and of the day."""
        while True:
            day = random.choices(self._days, self._weights)[0]
            hour = random.choices(range(24), _HOURS)[0]
            at = day + hour * HOUR_MS + random.randrange(HOUR_MS)
            if self.begin <= at < self.end:
                return at


def _is_weekday(at: int) -> bool:
    return datetime.fromtimestamp(at / 1000, UTC).weekday() < 5
