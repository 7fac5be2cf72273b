"""Every setting of the service, and the only reader of its TOML file and `ASSAY_…` variables.

Judges read others for themselves (`judges/llm/endpoint.py`): the one that `api_key_env` names,
and those of proxies. A value is taken from the command line, else from `ASSAY_…` in the
environment, else from the TOML file, else it is the default below. `assay.example.toml` shows
them all.
"""

from __future__ import annotations

import ipaddress
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from judges.llm.settings import JudgeSettings
from judges.reward_model.serve.pool import RewardModelSettings
from verifiers.sample import ScorerSpec

logger = logging.getLogger(__name__)

PREFIX = "ASSAY_"

NAME = r"^[A-Za-z0-9_.-]+$"

KIB = 1024
MIB = 1024 * KIB


class SettingsError(Exception):
    """The settings cannot be used. The message says which and why."""

    @classmethod
    def of(cls, faults: Iterable[tuple[Sequence[str | int], str]]) -> Self:
        lines = [f"  {'.'.join(map(str, place))}: {message}" for place, message in faults]
        return cls("\n".join(["unusable settings:", *lines]))


class Protocols(BaseModel):
    """Other systems' routes. Which there are to be switched on and off, and which have options,
    is declared in `app.protocols`, where what is given here is checked."""

    model_config = ConfigDict(extra="allow", frozen=True)

    default_preset: str | None = Field(
        None, description="The scorer of routes at the root, which name none."
    )

    @property
    def given(self) -> Mapping[str, Any]:
        """Switches and options, by name."""
        return self.model_extra or {}


class Settings(BaseSettings):
    """How one service runs. Frozen: a change takes a restart."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(8000, ge=0, le=65_535, description="The port; 0 takes a free one.")
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Accepted bearer keys. With none, only loopback is served."
    )
    insecure: bool = Field(False, description="Serve other addresses without keys.")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")

    max_samples: int = Field(4_096, ge=1, description="Samples in one request.")
    max_body_bytes: int = Field(32 * MIB, ge=KIB, description="Bytes of one request.")
    max_completion_bytes: int = Field(
        256 * KIB, ge=1, description="A longer completion is `rejected`: the lowest reward."
    )
    queue_samples: int = Field(
        65_536, ge=1, description="Samples waiting in one lane before requests get a 429."
    )
    deadline_s: float = Field(
        120.0, gt=0, le=3_600, description="Deadline of a request that names none."
    )
    drain_grace_s: float = Field(
        20.0, ge=0, description="How long work in flight may go on after SIGTERM."
    )
    idempotency_bytes: int = Field(
        64 * MIB, ge=0, description="Memory for answers to repeated Idempotency-Keys."
    )

    cpu_workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, description="Processes of lane cpu."
    )
    cpu_limit_s: float = Field(
        2.0, gt=0, description="CPU seconds that one sample may take in lane cpu."
    )
    cpu_memory_bytes: int = Field(
        1024 * MIB, ge=256 * MIB, description="Address space of one process of lane cpu."
    )

    sandbox_workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=0,
        description="Programs that run at a time in lane sandbox; 0 turns it off.",
    )
    allow_degraded_sandbox: bool = Field(
        False,
        description="Run programs though layers of the sandbox are missing. Every score says so.",
    )

    reward_models: dict[Annotated[str, Field(pattern=NAME)], RewardModelSettings] = Field(
        default_factory=dict, description="Reward models by a name of your own."
    )
    reward_model_cache_values: int = Field(
        16_000_000, ge=0, description="Numbers of four bytes: rewards and embeddings remembered."
    )

    judges: dict[Annotated[str, Field(pattern=NAME)], JudgeSettings] = Field(
        default_factory=dict, description="LLM judges by a name of your own."
    )
    judge_store: str = Field(
        "assay-judges.db",
        description="File of what judges replied and spent, made at the first question to one. "
        "Empty keeps it in memory.",
    )

    rubrics: str = Field(
        "", description="Folder of rubrics (NAME.json, .toml, .txt) that specs may name."
    )

    presets: dict[Annotated[str, Field(pattern=NAME)], ScorerSpec] = Field(
        default_factory=dict, description="Scorers by a name of your own."
    )
    protocols: Protocols = Field(Protocols(), description="Other systems' routes.")

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: Any) -> Any:
        """`ASSAY_API_KEYS` holds keys separated by commas."""
        if not isinstance(value, str):
            return value
        return [key.strip() for key in value.split(",")] if value.strip() else []

    @field_validator("api_keys")
    @classmethod
    def _refuse_empty_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(not key.get_secret_value() for key in value):
            raise ValueError("a key may not be empty")
        return value

    @property
    def exposed(self) -> bool:
        """Reachable from other machines, without keys, and not told that this is meant."""
        return not (is_loopback(self.host) or self.api_keys or self.insecure)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls))


def load_settings(config: Path | None = None, **overrides: Any) -> Settings:
    """The settings of this process. Overrides that are None count as not given.

    Raises:
        SettingsError: the file is missing or no TOML, or a setting is unknown or unusable.
    """
    if config is not None and not config.is_file():
        raise SettingsError(f"there is no settings file {config}")
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    if unknown := sorted(
        name for name in os.environ if name.startswith(PREFIX) and name not in known
    ):
        # Not refused: a container platform sets variables named after its services.
        logger.warning("no settings, and ignored: %s", ", ".join(unknown))

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=config)

    try:
        return FromFile(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        raise SettingsError.of((fault["loc"], fault["msg"]) for fault in faults) from None
    except ValueError as error:  # tomllib's errors are ValueErrors
        raise SettingsError(f"{config}: {error}") from None


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
