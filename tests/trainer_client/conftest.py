"""One service and one undisturbed run, which the tests of whole runs share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.conftest import served
from tests.trainer_client.train.runs import SETTINGS


@pytest.fixture(scope="session")
def service_url() -> Iterator[str]:
    """A real service in a process of its own."""
    with served("--log-level", "warning") as service:
        yield service.url


@pytest.fixture(scope="session")
def undisturbed(service_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing happened to."""
    from trainer_client.train.config import load_config  # with torch, which takes seconds
    from trainer_client.train.display import Display
    from trainer_client.train.run import run

    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    run(load_config(None, [*SETTINGS, f"reward.url={service_url}"]), folder, Display())
    return folder
