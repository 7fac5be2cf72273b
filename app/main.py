"""Builds the service: settings in, an ASGI application out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI

from app.grouping.schemas import GroupsResponse
from app.hosting import Hosted
from app.http import docs_pages, errors, openapi
from app.http.idempotency import IdempotencyCache
from app.http.keys import BEARER, key_check
from app.http.limits import HeaderLimit
from app.http.log import RequestContext
from app.http.metrics import Metrics
from app.lanes.cpu import CpuLane
from app.lanes.inline import InlineLane
from app.lanes.lane import Scheduler
from app.lanes.llm import LlmLane
from app.lanes.model import ModelLane
from app.lanes.sandbox import SandboxLane
from app.protocols.gateway import Gateway
from app.protocols.registry import foreign_routers
from app.routes.details import details_components
from app.routes.discovery import discovery_router, health_router
from app.routes.exchange import Exchange
from app.routes.groups import groups_router
from app.routes.monitors import monitors_router
from app.routes.reward_models import reward_models_router
from app.routes.schemas import Problem, ScoreResponse
from app.routes.score import score_router
from app.routes.specs import spec_components
from app.settings import Settings
from verifiers.base import Run
from verifiers.digest import code_digest
from verifiers.registry import Registry


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service. Its lanes start with the application's lifespan and end with it.

    Raises:
        SpecError: a preset of the settings does not build.
        SettingsError: they switch a protocol that there is not.
    """
    settings = settings or Settings()
    metrics = Metrics()
    hosted = Hosted.of(settings)
    scheduler = create_scheduler(settings, metrics, hosted)
    registry = create_registry(settings, scheduler.run, hosted)
    hosted.models.on_change = registry.forget

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await scheduler.start()
        await asyncio.to_thread(read_deciding_code, registry)
        yield
        await scheduler.stop(grace_s=settings.drain_grace_s)

    app = FastAPI(
        title="Assay",
        summary="The reward and verifier service of a reinforcement-learning run",
        version=version("assay-server"),
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        responses={422: {"model": Problem, "description": "A malformed request"}},
    )
    app.state.settings = settings
    app.state.scheduler = scheduler
    app.state.check_key = key_check(settings)
    guarded = [Depends(BEARER)] if settings.api_keys else []
    answered = IdempotencyCache(settings.idempotency_bytes)
    exchange = Exchange(settings, registry, scheduler, answered)
    for router in (
        score_router(exchange),
        groups_router(exchange),
        discovery_router(registry),
        reward_models_router(hosted.models),
        monitors_router(),
        *foreign_routers(Gateway(exchange, hosted.judges)),
    ):
        app.include_router(router, dependencies=guarded)
    app.include_router(health_router(scheduler, metrics))
    app.add_middleware(HeaderLimit)
    app.add_middleware(RequestContext, metrics=metrics)
    errors.install(app)
    components = details_components(registry.types) | spec_components(registry.types)
    openapi.describe(app, (ScoreResponse, GroupsResponse), components)
    docs_pages.install(app)
    return app


def read_deciding_code(registry: Registry) -> None:
    """Hashes the code of every scorer, which takes longer than the event loop can be held."""
    for scorer in registry.types.values():
        code_digest(scorer.__module__)


def create_registry(settings: Settings, run: Run, hosted: Hosted) -> Registry:
    """The scorers, with what the service hosts for them.

    Raises:
        SpecError: a preset of the settings does not build.
    """
    more, lent = hosted.scorers(), hosted.by_type()
    return Registry(settings.presets, run=run, more=more, hosted=lent)


def create_scheduler(settings: Settings, metrics: Metrics, hosted: Hosted) -> Scheduler:
    lanes = [
        InlineLane(settings.queue_samples),
        CpuLane(
            workers=settings.cpu_workers,
            cpu_limit_s=settings.cpu_limit_s,
            memory_bytes=settings.cpu_memory_bytes,
            capacity=settings.queue_samples,
        ),
        SandboxLane(
            workers=settings.sandbox_workers,
            capacity=settings.queue_samples,
            allow_degraded=settings.allow_degraded_sandbox,
        ),
        ModelLane(hosted.models, capacity=settings.queue_samples),
        LlmLane(hosted.judges, settings.queue_samples),
    ]
    metrics.watch(lanes)
    metrics.watch_judges(hosted.judges)
    return Scheduler(
        lanes, max_completion_bytes=settings.max_completion_bytes, on_finished=metrics.job
    )
