"""Builds the service: settings in, an ASGI application out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI

from app import errors
from app.cpu_lane import CpuLane
from app.idempotency import IdempotencyCache
from app.keys import BEARER, key_check
from app.limits import HeaderLimit
from app.log import RequestContext
from app.metrics import Metrics
from app.routes.discovery import discovery_router, health_router
from app.routes.groups import groups_router
from app.routes.score import score_router
from app.sandbox_lane import SandboxLane
from app.scheduler import InlineLane, Scheduler
from app.schemas import Problem
from app.settings import Settings
from verifiers.registry import Registry


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service. Its lanes start with the application's lifespan and end with it.

    Raises:
        SpecError: a preset of the settings does not build.
    """
    settings = settings or Settings()
    metrics = Metrics()
    scheduler = create_scheduler(settings, metrics)
    registry = Registry(settings.presets, run=scheduler.run)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await scheduler.start()
        yield
        await scheduler.stop(grace_s=settings.drain_grace_s)

    app = FastAPI(
        title="Assay",
        summary="The reward and verifier service of a reinforcement-learning run",
        version=version("assay-server"),
        lifespan=lifespan,
        redirect_slashes=False,
        responses={422: {"model": Problem, "description": "A malformed request"}},
    )
    app.state.settings = settings
    app.state.scheduler = scheduler
    app.state.check_key = key_check(settings)
    guarded = [Depends(BEARER)] if settings.api_keys else []
    answered = IdempotencyCache(settings.idempotency_bytes)
    for router in (score_router, groups_router):
        app.include_router(router(settings, registry, scheduler, answered), dependencies=guarded)
    app.include_router(discovery_router(registry), dependencies=guarded)
    app.include_router(health_router(scheduler, metrics))
    app.add_middleware(HeaderLimit)
    app.add_middleware(RequestContext, metrics=metrics)
    errors.install(app)
    return app


def create_scheduler(settings: Settings, metrics: Metrics) -> Scheduler:
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
    ]
    metrics.watch(lanes)
    return Scheduler(
        lanes, max_completion_bytes=settings.max_completion_bytes, on_finished=metrics.job
    )
