"""The settings of one judge: a table `[judges.NAME]` of the service's TOML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from judges.llm.budget import Cap
from judges.llm.limits import Price


def plain_url(url: str) -> str:
    """The address without a trailing slash.

    Raises:
        ValueError: it is no HTTP address, or holds what may be a secret.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address begins with http:// or https:// and a host")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("an address holds no user, key or query: use api_key_env")
    if parts.port == 0:  # reading it refuses what is no port
        raise ValueError("port 0 is nowhere")
    return url.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(plain_url)]
Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PriceSettings(Table):
    """Of a million tokens, in a currency of your own."""

    prompt: Amount = 0.0
    completion: Amount = 0.0

    def build(self) -> Price:
        return Price(self.prompt, self.completion)


class CapSettings(Table):
    """The most that may be spent; what is left out has no cap."""

    calls: Count | None = None
    tokens: Count | None = None
    cost: Amount | None = None

    def build(self) -> Cap:
        return Cap(self.calls, self.tokens, self.cost)


class Limited(Table):
    """What every judge has."""

    max_concurrency: int = Field(64, ge=1, le=4_096, description="Calls under way at a time.")
    requests_per_minute: float | None = Field(None, gt=0)
    tokens_per_minute: float | None = Field(None, gt=0)
    timeout_s: float = Field(60.0, gt=0, le=3_600, description="Of one call, to its last byte.")
    max_attempts: int = Field(5, ge=1, le=20, description="Of one call, retries included.")
    retry_base_s: float = Field(0.5, gt=0, description="First back-off; doubles each time.")
    price: PriceSettings = PriceSettings()
    run_cap: CapSettings = Field(CapSettings(), description="For each run.")
    key_cap: CapSettings = Field(CapSettings(), description="For each API key.")
    open_circuit_after: int = Field(10, ge=1, description="Failures in a row.")
    circuit_cool_s: float = Field(5.0, gt=0, description="Until the endpoint is tried again.")
    cache: bool = Field(True, description="Record replies, and answer equal asks from them.")


class Remote(Limited):
    """What judges behind HTTP have."""

    base_url: BaseUrl = Field(description="As in https://api.openai.com/v1")
    model: str = Field(min_length=1)
    api_key_env: str | None = Field(
        None, min_length=1, description="The environment variable that holds the key."
    )


class ChatSettings(Remote):
    kind: Literal["chat"]
    length_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra_body: dict[str, Any] = Field({}, description="Members added to every request.")
    omit: tuple[str, ...] = Field(
        (), description="Members left out of every request, such as temperature."
    )
    json_schema: bool | None = Field(None, description="Honours it. Left out: found out.")
    json_object: bool | None = None
    logprobs: bool | None = None
    seed: bool | None = None


class DecisionSettings(Remote):
    kind: Literal["decisions", "systemone"]


class LocalSettings(Limited):
    kind: Literal["local"]
    path: Path = Field(description="A folder that transformers loads: a model, or a checkpoint.")
    device: str = "cpu"
    max_batch_tokens: int = Field(8_192, ge=256)


class ReplaySettings(Limited):
    kind: Literal["replay"]
    path: Path = Field(description="JSONL of recorded asks and replies.")


JudgeSettings = Annotated[
    ChatSettings | DecisionSettings | LocalSettings | ReplaySettings, Field(discriminator="kind")
]
