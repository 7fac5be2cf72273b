"""What there is to score with, and whether the service can: all that is only read."""

from __future__ import annotations

import inspect
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from app.http.errors import PROBLEMS
from app.http.metrics import Metrics
from app.http.quick_router import QuickRouter
from app.http.strict_json import StrictRoute
from app.lanes.lane import RETRY_AFTER_S, Scheduler
from app.routes.details import details_schema
from app.routes.schemas import (
    Health,
    LaneHealth,
    PresetDescription,
    Readiness,
    ScorerDescription,
    ScorerList,
)
from verifiers.base import Scorer
from verifiers.registry import Registry, UnknownScorer


def discovery_router(registry: Registry) -> APIRouter:
    router = QuickRouter(route_class=StrictRoute, tags=["discovery"])

    @router.get("/v1/scorers", responses=PROBLEMS, summary="All scorers and presets")
    async def list_scorers() -> ScorerList:
        return ScorerList(
            scorers=[describe(registry, name) for name in sorted(registry.types)],
            presets=[describe_preset(registry, name) for name in sorted(registry.presets)],
        )

    @router.get("/v1/scorers/{name}", responses=PROBLEMS, summary="One scorer or preset")
    async def get_scorer(name: str) -> ScorerDescription | PresetDescription:
        if name in registry.presets:
            return describe_preset(registry, name)
        if name not in registry.types:
            raise UnknownScorer(name, registry.names()).below("name")
        return describe(registry, name)

    return router


def health_router(scheduler: Scheduler, metrics: Metrics) -> APIRouter:
    router = QuickRouter(tags=["health"])

    @router.get("/healthz", summary="200 while the process lives")
    async def healthz() -> Health:
        return Health(status="ok")

    @router.get(
        "/readyz",
        summary="200 when every lane can score",
        responses={503: {"model": Readiness, "description": "Draining, or a lane is down"}},
    )
    async def readyz(response: Response) -> Readiness:
        faults = scheduler.faults()
        lanes = {
            name: LaneHealth(
                ready=name not in faults,
                reason=faults.get(name) or lane.note(),
                pending=lane.pending,
            )
            for name, lane in scheduler.lanes.items()
        }
        status = "draining" if scheduler.draining else "not ready" if faults else "ready"
        if status != "ready":
            response.status_code = 503
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
        return Readiness(status=status, lanes=lanes)

    @router.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def show_metrics() -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE_LATEST)

    return router


def describe(registry: Registry, name: str) -> ScorerDescription:
    scorer_type = registry.types[name]
    scorer = registry.build(scorer_type.example["scorer"])
    return ScorerDescription(
        name=name,
        kind=scorer_type.kind,
        description=first_line(scorer_type),
        version=scorer_type.version,
        lane=scorer_type.lane,
        reward_range=scorer.reward_range,
        deterministic=scorer.deterministic,
        requires=list(scorer_type.requires),
        parameters_schema=scorer_type.parameters_type.model_json_schema(),
        reference_schema=scorer_type.reference_schema(),
        details_schema=details_schema(scorer_type),
        unavailable=scorer_type.unavailable(),
        example=dict(scorer_type.example),
    )


def describe_preset(registry: Registry, name: str) -> PresetDescription:
    spec = registry.presets[name]
    return PresetDescription(name=name, scorer=spec, reward_range=registry.build(name).reward_range)


def first_line(scorer_type: type[Scorer[Any]]) -> str:
    return (inspect.getdoc(scorer_type) or "").partition("\n")[0]
