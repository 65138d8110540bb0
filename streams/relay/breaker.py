"""A circuit breaker per target: a target that is down is asked again now and then, and not by every delivery.

Deliveries wait for it instead of failing by it (no try is used up while it is open), which is why it is no library's.
"""

from __future__ import annotations

from collections.abc import Callable


class Breaker:
    """Opens after `failures` failures in a row, for `open_s` seconds; then one probe at a time until one succeeds."""

    def __init__(self, failures: int, open_s: float, clock: Callable[[], float]) -> None:
        self._most = failures
        self._open_s = open_s
        self._clock = clock
        self._failed = 0
        self._open_until: float | None = None

    @property
    def open(self) -> bool:
        """Whether the target is taken to be down."""
        return self._open_until is not None

    def wait_s(self) -> float:
        """Seconds until a delivery may be tried; 0 for now."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock())

    def may_start(self, in_flight: int) -> bool:
        """Whether one more delivery may begin beside `in_flight` others."""
        return self._open_until is None or (in_flight == 0 and self.wait_s() == 0.0)

    def succeeded(self) -> None:
        self._failed = 0
        self._open_until = None

    def failed(self, wait_s: float | None = None) -> None:
        """The target as a whole failed; `wait_s` is how long it asked to be left alone."""
        self._failed += 1
        if wait_s is not None or self._failed >= self._most:
            until = self._clock() + (self._open_s if wait_s is None else wait_s)
            self._open_until = max(self._open_until or 0.0, until)
