"""What `[protocols]` of the settings may say, and what it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import app as cli
from app.main import create_app
from app.protocols.registry import PROTOCOLS
from app.settings import Settings, SettingsError
from tests.app.conftest import in_process


def paths(**protocols: Any) -> set[str]:
    return set(create_app(Settings(protocols=protocols)).openapi()["paths"])


def test_each_switch_turns_its_own_routes_on_and_no_others() -> None:
    off = {each.name: False for each in PROTOCOLS}
    native = paths(**off)
    for name in off:
        own = [each for each in PROTOCOLS if each.name == name]
        declared = {f"{each.under}{route.path}" for each in own for route in each.routes}
        bare = {route.path for each in own for route in each.routes}
        found = paths(**off | {name: True}) - native
        assert declared <= found <= declared | bare, name


def test_what_runs_programs_is_off_and_all_else_is_on() -> None:
    assert {each.name for each in PROTOCOLS if not each.on} == {"run_code", "test_program"}
    for name in {each.name for each in PROTOCOLS}:
        assert len({each.on for each in PROTOCOLS if each.name == name}) == 1, name


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"slim": True}, r"protocols\.slim: .*openrlhf, slime, nemo_gym.*nemo_gym_reference"),
        ({"slime": "perhaps"}, r"protocols\.slime: .*boolean"),
        ({"nemo_gym_reference": 3}, r"protocols\.nemo_gym_reference: .*string"),
    ],
)
def test_what_is_no_switch_is_refused_with_those_that_there_are(
    given: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(SettingsError, match=complaint):
        create_app(Settings(protocols=given))


def test_the_command_says_so(tmp_path: Path) -> None:
    (tmp_path / "assay.toml").write_text("[protocols]\nslim = true\n")
    result = CliRunner().invoke(cli, ["serve", "--config", str(tmp_path / "assay.toml")])
    assert result.exit_code == 2
    assert "protocols.slim" in result.output
    assert "slime" in result.output


def test_the_member_that_is_the_reference_is_that_of_the_settings_or_of_the_request() -> None:
    answered = {"output": [{"role": "assistant", "content": "cba"}]}
    row = {"responses_create_params": {"input": "p"}, "response": answered}
    row |= {"gold": "abc", "expected_answer": "xyz"}
    path = "/compat/nemo-gym/string_reversal/verify"
    with in_process(protocols={"nemo_gym_reference": "gold"}) as client:
        assert client.post(path, json=row).json()["reward"] == 1.0
        asked = client.post(f"{path}?reference=expected_answer", json=row)
        assert asked.json()["reward"] == 0.0
