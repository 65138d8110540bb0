"""Hypothesis profiles: `ci` is quick and always draws the same, `deep` draws much and anew.

`HYPOTHESIS_PROFILE=deep pytest tests/unit` before a change of the core is let go.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=40, suppress_health_check=_slow)
settings.register_profile("deep", deadline=None, max_examples=2_000, suppress_health_check=_slow)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
