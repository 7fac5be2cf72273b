"""Settings come from options, the environment, a file, and defaults, in this order."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from app.main import create_app
from app.settings import Settings, SettingsError, load_settings
from judges.llm.settings import LocalSettings

EXAMPLE = Path(__file__).parents[2] / "assay.example.toml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "assay.toml"
    path.write_text('port = 1\nmax_samples = 1\n[presets]\nwords = "string_reversal"\n')
    return path


def test_nearer_sources_win(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(file).port == 1
    monkeypatch.setenv("ASSAY_PORT", "2")
    assert load_settings(file).port == 2
    assert load_settings(file, port=3).port == 3
    assert load_settings(file, port=None).port == 2
    assert load_settings(file).max_samples == 1
    assert load_settings().max_samples == 4_096


def test_presets_come_from_the_file(file: Path) -> None:
    assert load_settings(file).presets == {"words": "string_reversal"}


def test_keys_are_separated_by_commas_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_API_KEYS", "one-secret, two-secret")
    settings = load_settings()
    assert [key.get_secret_value() for key in settings.api_keys] == ["one-secret", "two-secret"]
    assert "secret" not in repr(settings).replace("SecretStr", "")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("prot = 1", "prot"),
        ("port = 'x'", "port"),
        ("port = 70000", "port"),
        ("api_keys = ['']", "api_keys"),
        ("port = ", "assay.toml"),
        ("[presets]\nx = 3", "presets"),
    ],
)
def test_an_unusable_file_is_refused_by_name(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "assay.toml"
    path.write_text(content)
    with pytest.raises(SettingsError, match=complaint):
        load_settings(path)


def test_a_missing_file_is_refused_and_a_misspelt_variable_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SettingsError, match="there is no settings file"):
        load_settings(tmp_path / "nothing.toml")
    monkeypatch.setenv("ASSAY_PROT", "1")
    load_settings()
    assert "ASSAY_PROT" in caplog.text


def test_an_empty_list_of_keys_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_API_KEYS", "")
    assert load_settings().api_keys == ()


@pytest.mark.parametrize(
    ("host", "keys", "insecure", "exposed"),
    [
        ("127.0.0.1", (), False, False),
        ("localhost", (), False, False),
        ("::1", (), False, False),
        ("127.8.8.8", (), False, False),
        ("0.0.0.0", (), False, True),
        ("::", (), False, True),
        ("example.org", (), False, True),
        ("0.0.0.0", ("key",), False, False),
        ("0.0.0.0", (), True, False),
    ],
)
def test_only_loopback_is_served_without_keys(
    host: str, keys: tuple[str, ...], insecure: bool, exposed: bool
) -> None:
    settings = Settings(host=host, api_keys=keys, insecure=insecure)
    assert settings.exposed is exposed


def test_the_example_file_shows_every_setting_with_its_default() -> None:
    settings = load_settings(EXAMPLE)
    shown = set(tomllib.loads(EXAMPLE.read_text()))
    commented = {
        re.split(r" = |\.", line.lstrip("# ["))[0]
        for line in EXAMPLE.read_text().splitlines()
        if line.startswith(("# ", "# [")) and (" = " in line or "[" in line)
    }
    assert set(Settings.model_fields) <= shown | commented
    for name in shown - {"presets", "protocols"}:
        assert getattr(settings, name) == getattr(Settings(), name), name


PROBED = {"json_schema", "json_object", "logprobs", "seed"}


def test_the_example_file_shows_every_kind_of_judge_and_all_that_can_be_set() -> None:
    text = EXAMPLE.read_text().partition("# --- lane llm")[2].partition("\n# --- ")[0]
    lines = [line[2:] for line in text.splitlines() if re.match(r"# (\[|\w+ =)", line)]
    tables = tomllib.loads("\n".join(lines))["judges"]
    judges = Settings(judges=tables).judges
    assert {table["kind"] for table in tables.values()} == {"chat", "decisions", "local", "replay"}
    shown = {field for table in tables.values() for field in table}
    settable = {field for judge in judges.values() for field in type(judge).model_fields}
    assert settable - PROBED <= shown


def test_limits_of_judges_are_shown_with_their_defaults() -> None:
    text = EXAMPLE.read_text()
    for name, field in LocalSettings.model_fields.items():
        if isinstance(field.default, bool | int | float):
            shown = re.search(rf"^# {name} = (\S+)", text, re.MULTILINE)
            assert shown is not None, name
            assert tomllib.loads(f"x = {shown[1]}")["x"] == field.default, name


def test_the_presets_of_the_example_file_build_and_its_protocols_are_those_by_default() -> None:
    assert create_app(load_settings(EXAMPLE)).openapi() == create_app(Settings()).openapi()
