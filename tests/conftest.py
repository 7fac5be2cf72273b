"""What tests of several packages share."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

collect_ignore = ["trainers"]
"""They need the frameworks, and a virtual environment of their own: `make test-trainers`."""

# How long an example takes, and how long it takes to think of one, is the machine's affair.
settings.register_profile("assay", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("assay")


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> None:
    """Tests see the settings they make, not those of the shell that runs them."""
    for name in [name for name in os.environ if name.startswith("ASSAY_")]:
        del os.environ[name]


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_interrupts() -> None:
    """Also where a shell runs the tests in the background, and so has them ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _lanes_that_were_started_stop() -> Iterator[None]:
    yield
    if (module := sys.modules.get("tests.on_lanes")) is not None and module.lanes.cache_info()[3]:
        module.lanes().stop()
