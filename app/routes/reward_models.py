"""The reward models that are served, and taking a new version of one."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.http.errors import PROBLEMS
from app.http.quick_router import QuickRouter
from app.http.strict_json import StrictRoute
from judges.reward_model.guards.guards import GuardName, Penalty
from judges.reward_model.model.render import Truncation
from judges.reward_model.serve.pool import NamedModel, RewardModels
from judges.reward_model.serve.served import ServedModel


class GuardsDescription(BaseModel):
    false_alarm_rate: float = Field(description="Permitted on natural texts, all together.")
    texts: int = Field(description="Natural texts that the thresholds were fitted to.")
    thresholds: dict[GuardName, float]
    alarms: dict[GuardName, float] = Field(description="Of natural texts, flagged by each.")
    penalties: dict[GuardName, Penalty]


class Serving(BaseModel):
    """The version of a model that scores now."""

    model_hash: str
    loaded_at: datetime
    heads: int = Field(description="Members of its ensemble.")
    max_length: int = Field(description="Tokens of one text.")
    truncation: Truncation
    reference_texts: int | None = Field(
        description="Natural texts that rewards are normalised by; null where there are none, "
        "and rewards are raw."
    )
    guards: GuardsDescription | None = Field(description="Null where none were fitted.")


class RewardModelDescription(BaseModel):
    """One name and what stands behind it."""

    name: str
    status: Literal["ready", "loading", "refused"]
    device: str
    dtype: str
    watched: bool
    serving: Serving | None
    refusal: str | None = Field(
        description="Why the newest folder was refused, and what to do. What served before still "
        "does."
    )


class RewardModelList(BaseModel):
    reward_models: list[RewardModelDescription]


class Reloaded(RewardModelDescription):
    changed: bool = Field(description="Another model than before scores from now on.")


def reward_models_router(models: RewardModels) -> APIRouter:
    router = QuickRouter(route_class=StrictRoute, tags=["reward models"])

    @router.get("/v1/reward-models", responses=PROBLEMS, summary="All reward models")
    async def list_reward_models() -> RewardModelList:
        return RewardModelList(reward_models=[describe(each) for each in models.named.values()])

    @router.post(
        "/v1/reward-models/{name}/reload",
        responses={
            **PROBLEMS,
            404: {"description": "Unknown reward model"},
            409: {"description": "The folder was refused; what served before still does"},
        },
        summary="Take the new version of a reward model",
        description="Reads the model's folder again. Requests that began with the old version "
        "end with it.",
    )
    async def reload(name: str) -> Reloaded:
        changed = await models.reload(name)
        return Reloaded(**dict(describe(models[name])), changed=changed)

    return router


def describe(named: NamedModel) -> RewardModelDescription:
    served = named.serving
    return RewardModelDescription(
        name=named.name,
        status="ready" if served else "refused" if named.refusal else "loading",
        device=named.settings.device,
        dtype=named.settings.dtype,
        watched=named.settings.watch,
        serving=describe_version(served) if served else None,
        refusal=named.refusal,
    )


def describe_version(served: ServedModel) -> Serving:
    card, guards = served.model.card, served.guards
    return Serving(
        model_hash=served.digest,
        loaded_at=served.loaded_at,
        heads=served.model.heads,
        max_length=card.max_length,
        truncation=card.truncation,
        reference_texts=card.reference.count if card.reference else None,
        guards=GuardsDescription.model_validate(guards, from_attributes=True) if guards else None,
    )
