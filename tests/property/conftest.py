"""Hypothesis settings: the same examples in every CI run, and a blob to replay a failure with."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Examples are whole files: building them is what takes the time.
settings.register_profile(
    "laptop", deadline=None, print_blob=True, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("laptop"), derandomize=True)
settings.register_profile("long", settings.get_profile("laptop"), max_examples=3000)
settings.load_profile(os.environ.get("FASTFOLD_HYPOTHESIS") or ("ci" if os.environ.get("CI") else "laptop"))
