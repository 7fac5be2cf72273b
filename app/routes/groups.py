"""`POST /v1/groups`: every completion of a prompt at once, and what they come to together."""

import asyncio
from collections.abc import Sequence
from itertools import accumulate, chain, pairwise, repeat
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response

from app.grouping.advantages import PRESETS, Advantage
from app.grouping.results import group_result
from app.grouping.schemas import (
    AdvantageUsed,
    Group,
    GroupsRequest,
    GroupsResponse,
    limited_groups_request,
)
from app.http.errors import PROBLEMS, BodyTooLarge
from app.http.idempotency import IdempotencyCache
from app.http.log import request_id
from app.http.openapi import JSON, answering
from app.http.quick_router import QuickRouter
from app.http.strict_json import StrictRoute
from app.lanes.lane import Scheduler
from app.routes.exchange import (
    CLIENT_CLOSED_REQUEST,
    KEY_HELP,
    Scoring,
    on_behalf,
    once,
    resolve,
    unless_disconnected,
)
from app.routes.schemas import Summary
from app.settings import Settings
from verifiers.answer_clusters import Labels, by_text, cluster
from verifiers.base import Run, Score, Scorer, Settle
from verifiers.errors import DeadlineExceeded
from verifiers.registry import Registry
from verifiers.score import ScoreError, to_json

EXPANSION = 8
"""How many times a request's limit in bytes its samples may take once each has its group's
prompt and reference: what is sent once is handed to a scorer with every completion."""

MIN_COMPARING_S = 0.1
"""For comparing answers where scoring took all the time there was."""

GROUPS_AT_A_TIME = 32
"""What a group comes to takes some 50 µs; so often the event loop may serve others."""


def groups_router(
    settings: Settings, registry: Registry, scheduler: Scheduler, answered: IdempotencyCache
) -> APIRouter:
    router = QuickRouter(route_class=StrictRoute, tags=["scoring"])
    request_type: Any = limited_groups_request(settings.max_samples)

    @router.post(
        "/v1/groups",
        responses=PROBLEMS | answering(GroupsResponse),
        summary="Score groups of completions",
        description="Per group: one score a completion, in order, their advantages, the "
        "completion to keep, the majority answer, and statistics.",
    )
    async def groups(
        request: Request,
        body: request_type,
        idempotency_key: Annotated[str | None, Header(description=KEY_HELP)] = None,
    ) -> Response:
        scorers = resolve(registry, body.scorer, (group.scorer for group in body.groups), "groups")
        refuse_bombs(body.groups, EXPANSION * settings.max_body_bytes)
        deadline_s = body.deadline_s or settings.deadline_s
        ends = asyncio.get_running_loop().time() + deadline_s

        async def run(on_score: Settle | None) -> list[Score]:
            samples = [s for index, group in enumerate(body.groups) for s in group.samples(index)]
            sizes = [len(group.completions) for group in body.groups]
            each = list(chain.from_iterable(map(repeat, scorers, sizes)))
            with on_behalf(request, settings, body.run, deadline_s):
                job = scheduler.submit(each, samples, deadline_s=deadline_s)
            return await job.result()

        repeatable = await once(request, idempotency_key, answered, run)
        work = answer(body, scorers, repeatable, scheduler.run, ends)
        response = await unless_disconnected(request, work)
        if response is None:
            return Response(None, CLIENT_CLOSED_REQUEST)
        return Response(to_json(response), media_type=JSON)

    return router


def refuse_bombs(groups: Sequence[Group], limit_bytes: int) -> None:
    """Refuses what is small to send and large to score.

    Raises:
        BodyTooLarge: see `EXPANSION`.
    """
    expanded = sum(shared_size(group) * len(group.completions) for group in groups)
    if expanded > limit_bytes:
        raise BodyTooLarge(
            f"prompt and reference times completions may come to {limit_bytes} bytes in all"
        )


def shared_size(group: Group) -> int:
    """Of what every sample of the group gets, about."""
    prompt = group.prompt or ""
    texts = [prompt] if isinstance(prompt, str) else [message.text for message in prompt]
    return sum(map(len, texts)) + len(to_json(group.reference))


async def answer(
    body: GroupsRequest,
    scorers: Sequence[Scorer[Any]],
    scoring: Scoring,
    run: Run,
    ends: float,
) -> GroupsResponse:
    """The response, once everything is scored.

    Args:
        scorers: one for each group.
        ends: when the answers must have been compared, on the loop's clock.
    """
    scores = await scoring(None)
    ends_of_groups = accumulate((len(group.completions) for group in body.groups), initial=0)
    grouped = [scores[start:stop] for start, stop in pairwise(ends_of_groups)]
    labels = await compared(grouped, scorers, run, ends)
    advantage = body.advantage
    advantage = advantage if isinstance(advantage, Advantage) else PRESETS[advantage]
    results = []
    for index, (group, members, found) in enumerate(zip(body.groups, grouped, labels, strict=True)):
        name, lengths = group.id or str(index), group.lengths()
        results.append(group_result(name, members, lengths, found, advantage, body.select, body.ks))
        if index % GROUPS_AT_A_TIME == 0:
            await asyncio.sleep(0)
    return GroupsResponse(
        request_id=request_id.get(),
        groups=results,
        advantage=AdvantageUsed.of(advantage),
        summary=Summary.of(scores),
    )


async def compared(
    grouped: Sequence[Sequence[Score]], scorers: Sequence[Scorer[Any]], run: Run, ends: float
) -> list[Labels | ScoreError]:
    """The answers of each group by what they say, to a reader of its scorer's kind."""
    answers = [[s.answer for s in scores if s.answer is not None] for scores in grouped]
    labels: list[Labels | ScoreError] = [by_text(group) for group in answers]
    mathematical = [i for i, scorer in enumerate(scorers) if not scorer.answers_are_text]
    left_s = max(MIN_COMPARING_S, ends - asyncio.get_running_loop().time())
    try:
        async with asyncio.timeout(left_s):
            found = await cluster([answers[i] for i in mathematical], run)
    except TimeoutError:
        late = DeadlineExceeded("the answers were not compared in time")
        error = ScoreError(late.code, str(late), late.retryable)
        found = [error if len(set(answers[i])) > 1 else labels[i] for i in mathematical]
    for i, result in zip(mathematical, found, strict=True):
        labels[i] = result
    return labels
