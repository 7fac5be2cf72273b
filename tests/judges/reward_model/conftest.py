"""No test of a model may reach a hub."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _hub_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
