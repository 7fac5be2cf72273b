"""`POST /v1/groups`: every completion of a prompt at once, and what they come to together."""

import asyncio
from collections.abc import Sequence
from itertools import accumulate, chain, pairwise, repeat
from typing import Any

from fastapi import APIRouter, Request
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
from app.http.log import request_id
from app.http.openapi import JSON, answering
from app.http.quick_router import QuickRouter
from app.routes.exchange import Exchange, IdempotencyKey, ScorerOrError, unless_left
from app.routes.faults import SparingRoute
from app.routes.schemas import Summary
from verifiers.answer_clusters import Labels, by_text, cluster
from verifiers.base import Run, Score, ScoringError
from verifiers.errors import DeadlineExceeded
from verifiers.score import ScoreError, to_json

EXPANSION = 8
"""How many times a request's limit in bytes its samples may take once each has its group's
prompt and reference: what is sent once is handed to a scorer with every completion."""

MIN_COMPARING_S = 0.1
"""For comparing answers where scoring took all the time there was."""

GROUPS_AT_A_TIME = 32
"""What a group comes to takes some 50 µs; so often the event loop may serve others."""


def groups_router(exchange: Exchange) -> APIRouter:
    router = QuickRouter(route_class=SparingRoute, tags=["scoring"])
    settings = exchange.settings
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
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        scorers = exchange.scorers(body.scorer, body.groups, body._faults, "groups")
        refuse_bombs(body.groups, EXPANSION * settings.max_body_bytes)
        deadline_s = body.deadline_s or settings.deadline_s
        ends = asyncio.get_running_loop().time() + deadline_s
        scores = await exchange.score(
            request,
            each_sample(body, scorers),
            [sample for index, group in enumerate(body.groups) for sample in group.samples(index)],
            run=body.run,
            deadline_s=deadline_s,
            idempotency_key=idempotency_key,
        )
        run = exchange.scheduler.run
        response = await unless_left(request, answer(body, scorers, scores, run, ends))
        return Response(to_json(response), media_type=JSON)

    return router


def each_sample(body: GroupsRequest, scorers: Sequence[ScorerOrError]) -> list[ScorerOrError]:
    """The scorer of each sample: its group's, or what is wrong with its completion."""
    sizes = [len(group.completions) for group in body.groups]
    each = list(chain.from_iterable(map(repeat, scorers, sizes)))
    if body._faults:
        starts = list(accumulate(sizes, initial=0))
        for (_, group, *completion), error in body._faults.items():
            if completion:
                each[starts[int(group)] + int(completion[1])] = error
    return each


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
    scorers: Sequence[ScorerOrError],
    scores: list[Score],
    run: Run,
    ends: float,
) -> GroupsResponse:
    """What the scores come to.

    Args:
        scorers: one for each group, or why it has none.
        scores: of all groups, one after the other.
        ends: when the answers must have been compared, on the loop's clock.
    """
    ends_of_groups = accumulate((len(group.completions) for group in body.groups), initial=0)
    grouped = [scores[start:stop] for start, stop in pairwise(ends_of_groups)]
    labels = await compared(grouped, scorers, run, ends)
    advantage = body.advantage
    advantage = advantage if isinstance(advantage, Advantage) else PRESETS[advantage]
    results = []
    for index, (group, members, found) in enumerate(zip(body.groups, grouped, labels, strict=True)):
        name = group.id or str(index)
        lengths = [
            None if ("groups", index, "completions", position) in body._faults else length
            for position, length in enumerate(group.lengths())
        ]
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
    grouped: Sequence[Sequence[Score]], scorers: Sequence[ScorerOrError], run: Run, ends: float
) -> list[Labels | ScoreError]:
    """The answers of each group by what they say, to a reader of its scorer's kind."""
    answers = [[s.answer for s in scores if s.answer is not None] for scores in grouped]
    labels: list[Labels | ScoreError] = [by_text(group) for group in answers]
    mathematical = [
        index
        for index, scorer in enumerate(scorers)
        if not isinstance(scorer, ScoringError) and not scorer.answers_are_text
    ]
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
