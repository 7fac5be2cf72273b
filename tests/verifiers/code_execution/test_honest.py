"""Programs that are right in unusual ways. All are accepted."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.app.conftest import in_process
from tests.verifiers.code_execution.programs import (
    ASSERTS,
    CASES,
    CHECK,
    STDIO,
    Listed,
    parametrized,
    sample,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux only")


@pytest.fixture(scope="module")
def service() -> Iterator[TestClient]:
    with in_process(sandbox_workers=1) as client:
        yield client


def assert_accepted(client: TestClient, program: Listed, reference: dict[str, Any]) -> None:
    if "numpy" in program.source and importlib.util.find_spec("numpy") is None:
        pytest.skip("numpy is not installed")
    body = {"scorer": "code", "samples": [sample(program.source, reference)]}
    (result,) = client.post("/v1/score", json=body).json()["scores"]
    assert result["reward"] == 1.0, result


@parametrized("honest_programs")
def test_an_honest_program_is_accepted(service: TestClient, program: Listed) -> None:
    assert_accepted(service, program, STDIO)


@parametrized("honest_functions")
@pytest.mark.parametrize("reference", [CASES, ASSERTS, CHECK], ids=["cases", "asserts", "check"])
def test_an_honest_function_is_accepted(
    service: TestClient, program: Listed, reference: dict[str, Any]
) -> None:
    assert_accepted(service, program, reference)
