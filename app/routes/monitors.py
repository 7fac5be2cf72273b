"""Watches training runs for over-optimisation: a trainer reports, and hears when to stop."""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.http.errors import PROBLEMS
from app.http.openapi import WHOLE
from app.http.quick_router import QuickRouter
from app.http.strict_json import StrictRoute
from judges.over_optimisation import Monitor, Observation, Regime, Verdict
from verifiers.sample import Name

MAX_RUNS = 256
"""Watched at a time; the one that was silent for longest is forgotten."""

MAX_REWARDS = 65_536
MAX_STEPS = 10_000
"""Observations of one run: a law is fitted to all of them each time."""

Number = Annotated[float, Field(ge=-1e6, le=1e6)]
"""Rewards and divergences beyond this are mistakes, and squares of them no numbers."""


class Report(BaseModel):
    """One step of a run: rewards by the proxy, and by gold on a sample of the completions."""

    model_config = ConfigDict(extra="forbid", strict=True)

    step: Annotated[int, Field(ge=0, le=10**12), WHOLE] = Field(
        description="Rising. One seen before takes back all since."
    )
    kl: Number = Field(description="From the policy at the start, in nats.")
    proxy: list[Number] = Field(
        min_length=1, max_length=MAX_REWARDS, description="All rewards, or their mean alone."
    )
    gold: list[Number] = Field(
        min_length=2,
        max_length=MAX_REWARDS,
        description="By an exact verifier or a held-out judge. Leave out what was not scored.",
    )
    length: Number | None = Field(None, ge=0, description="Mean, in any unit.")
    flagged: Number | None = Field(None, ge=0, le=1, description="Share that guards flagged.")
    regime: Regime = Field("training", description="Which law is fitted; that of the first report.")


class Watch(BaseModel):
    """What the monitor makes of a run so far."""

    run: str
    observations: int
    verdict: Verdict


class WatchList(BaseModel):
    runs: list[Watch] = Field(description="The run that reported last comes last.")


def watch(run: str, monitor: Monitor) -> Watch:
    return Watch(run=run, observations=len(monitor.observations), verdict=monitor.verdict())


def monitors_router() -> APIRouter:
    router = QuickRouter(route_class=StrictRoute, tags=["reward models"])
    monitors: OrderedDict[str, Monitor] = OrderedDict()

    @router.post(
        "/v1/monitors/{run}",
        responses=PROBLEMS,
        summary="Report a step of a training run",
        description="The verdict's `alarm` tells the trainer to stop: since `turnover_kl` the "
        "proxy rose and gold fell.",
    )
    async def report(run: Name, body: Report) -> Watch:
        monitor = monitors.setdefault(run, Monitor(body.regime))
        monitors.move_to_end(run)
        if len(monitors) > MAX_RUNS:
            monitors.popitem(last=False)
        observation = Observation.of(
            body.step, body.kl, body.proxy, body.gold, length=body.length, flagged=body.flagged
        )
        monitor.add(observation)
        del monitor.observations[:-MAX_STEPS]
        return watch(run, monitor)

    @router.get("/v1/monitors", responses=PROBLEMS, summary="The verdicts on all runs")
    async def list_runs() -> WatchList:
        return WatchList(runs=[watch(run, monitor) for run, monitor in monitors.items()])

    return router
