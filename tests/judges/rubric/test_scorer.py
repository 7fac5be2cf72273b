"""The scorer: programs first, then judges, and nothing made up."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.rubric_judges import Honest, Read, contains, read, reply_of, usage
from judges.llm.base import Ask, Judge, Reply
from judges.llm.hosting import Judges
from judges.rubric import Rubric, Rubrics, RubricScorer
from verifiers.base import Sample, Score, Scorer, SpecError
from verifiers.errors import JudgeFailed
from verifiers.registry import Registry

PARIS = {"id": "paris", "text": 'Contains "Paris".', "class": "essential"}
SEINE = {"id": "seine", "text": 'Contains "Seine".', "class": "optional"}
LYON = {"id": "lyon", "text": 'Contains "Lyon".', "class": "pitfall"}
JSON_FORM = {"id": "json", "kind": "verifier", "scorer": {"type": "json_schema", "schema": {}}}


def registry(*judges: Judge, rubrics: Rubrics | None = None) -> Registry:
    table = {judge.name: judge for judge in judges}
    return Registry(more=[RubricScorer], hosted={Judges: table, Rubrics: rubrics or Rubrics()})


def built(*judges: Judge, criteria: Sequence[Any] = (), **spec: Any) -> Scorer[Any]:
    """The scorer of these criteria; what is no parameter is the rubric's."""
    names = RubricScorer.parameters_type.model_fields
    rubric = {"criteria": list(criteria), **{k: v for k, v in spec.items() if k not in names}}
    parameters = {"rubric": rubric} | {k: v for k, v in spec.items() if k in names}
    return registry(*judges).build({"type": "rubric", **parameters})


def scored(scorer: Scorer[Any], completion: str, **sample: Any) -> Score:
    [score] = asyncio.run(scorer.score([Sample(completion=completion, **sample)]))
    return score


@dataclass
class Scripted:
    """Gives these replies in turn; an exception among them is raised."""

    replies: list[str | Exception | Callable[[Read], Reply]]
    name: str = "scripted"
    fingerprint: str = "scripted-1"
    asks: list[Ask] = field(default_factory=list)

    async def ask(self, ask: Ask) -> Reply:
        self.asks.append(ask)
        reply = self.replies[len(self.asks) - 1]
        if isinstance(reply, Exception):
            raise reply
        if callable(reply):
            return reply(read(ask))
        return Reply(reply, usage=usage(ask, reply))


def fixed(verdict: Any, **members: Any) -> Callable[[Read], Reply]:
    return lambda seen: Reply(reply_of(seen.nonce, dict.fromkeys(seen.keys, verdict)), **members)


# --- rewards ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("completion", "reward"),
    [
        ("Paris, on the Seine", 1.0),
        ("Paris", 1 / 1.3),
        ("Paris, or Lyon", 0.1 / 1.3),
        ("Lyon", 0.0),
        ("Rome", 0.0),
    ],
)
def test_the_reward_is_the_weighted_share(completion: str, reward: float) -> None:
    score = scored(built(Honest(contains), criteria=[PARIS, SEINE, LYON]), completion)
    assert score.reward == pytest.approx(reward)
    assert score.outcome == "judged"
    names = {"paris": "Paris", "seine": "Seine", "lyon": "Lyon"}
    assert score.components == {id_: float(word in completion) for id_, word in names.items()}


def test_details_tell_verdicts_reasons_tokens_cost_and_seed() -> None:
    score = scored(built(Honest(contains), criteria=[PARIS]), "Paris")
    details = score.details
    assert details["verdicts"]["paris"] == {
        "value": 1.0,
        "verdicts": {"honest": [True]},
        "reason": "As it seems.",
    }
    assert details["calls"] == details["replies"] == 1
    assert details["prompt_tokens"] > 0
    assert details["completion_tokens"] > 0
    assert details["cost"] > 0
    assert details["cached_share"] == 0.0
    assert isinstance(details["seed"], int)
    assert not score.cached
    json.dumps(details, allow_nan=False)


def test_a_score_from_the_cache_says_so() -> None:
    score = scored(built(Scripted([fixed(True, cached=True)]), criteria=[PARIS]), "Paris")
    assert score.cached
    assert score.details["cached_share"] == 1.0


def test_the_order_of_criteria_follows_the_seed_and_changes_no_reward() -> None:
    criteria = [{"id": str(n), "text": f'Contains "{n}".'} for n in range(8)]
    orders, rewards, seeds = set(), set(), set()
    for seed in range(4):
        judge = Honest(contains)
        for _ in range(2):
            score = scored(built(judge, criteria=criteria, seed=seed), "0 1 2 3")
            rewards.add(score.reward)
            seeds.add(score.details["seed"])
        orders |= {tuple(read(ask).criteria.values()) for ask in judge.asks}
    assert len(orders) == len(seeds) == 4
    assert rewards == {0.5}


def test_silence_does_not_pay_where_a_rubric_has_faults_only() -> None:
    scorer = built(Honest(contains), criteria=[LYON])
    assert scored(scorer, "It is Paris.").reward == 1.0
    assert scored(scorer, "...").reward == 0.0


def test_implicit_aggregation_asks_for_one_grade() -> None:
    judge = Scripted([fixed(7)])
    score = scored(built(judge, criteria=[PARIS, LYON], aggregation="implicit"), "Paris")
    assert score.reward == pytest.approx(6 / 9)
    assert score.components == {"overall": score.reward}
    assert '"weight": -0.9' in judge.asks[0].turns[-1].content


def test_choices_and_scales_are_graded_by_their_values() -> None:
    tone = {"id": "tone", "text": "Its tone.", "choices": ["rude", "plain", "kind"]}
    depth = {"id": "depth", "text": "Its depth.", "scale": {"lowest": 0.0, "highest": 4.0}}
    given = {"Its tone.": "plain", "Its depth.": 3}
    judge = Honest(lambda key, seen: given[seen.criteria[key]])
    score = scored(built(judge, criteria=[tone, depth]), "x")
    assert score.components == {"tone": 0.5, "depth": 0.75}
    assert score.reward == 0.625


def test_many_criteria_are_asked_some_at_a_time() -> None:
    criteria = [{"id": str(n), "text": f'Contains "{n}".'} for n in range(10)]
    judge = Honest(contains)
    score = scored(built(judge, criteria=criteria, criteria_per_call=4), "1 and 7")
    assert sorted(len(read(ask).keys) for ask in judge.asks) == [2, 4, 4]
    assert {id_ for id_, value in score.components.items() if value} == {"1", "7"}


def test_replies_have_room_for_every_verdict_and_for_reasoning() -> None:
    criteria = [{"id": str(n), "text": f'Contains "{n}".'} for n in range(10)]
    judge = Honest(contains)
    scored(built(judge, criteria=criteria), "x")
    scored(built(judge, criteria=criteria, reasoning_tokens=4_000), "x")
    plain, reasoning = (ask.max_tokens for ask in judge.asks)
    assert plain >= 10 * 100
    assert reasoning == plain + 4_000


def test_samples_are_averaged_and_differ_in_seed_and_nonce() -> None:
    judge = Scripted([fixed(True), fixed(False), fixed(True), fixed(True)])
    score = scored(built(judge, criteria=[PARIS], samples=4, temperature=0.7), "Paris")
    assert score.reward == 0.75
    assert len({ask.seed for ask in judge.asks}) == 4
    assert len({read(ask).nonce for ask in judge.asks}) == 4
    assert {ask.temperature for ask in judge.asks} == {0.7}


def test_a_panel_is_averaged_by_weight() -> None:
    yes, no = Scripted([fixed(True)], name="yes"), Scripted([fixed(False)], name="no")
    score = scored(built(yes, no, criteria=[PARIS], judge={"yes": 3.0, "no": 1.0}), "Paris")
    assert score.reward == 0.75
    assert score.details["verdicts"]["paris"]["verdicts"] == {"no": [False], "yes": [True]}
    yes, no = Scripted([fixed(True)], name="yes"), Scripted([fixed(False)], name="no")
    assert scored(built(yes, no, criteria=[PARIS], judge=["yes", "no"]), "Paris").reward == 0.5


def test_probabilities_weigh_the_verdict() -> None:
    def told(seen: Read) -> Reply:
        return Reply("yes", probabilities={"yes": 0.8, "no": 0.2})

    judge = Scripted([told, told])
    score = scored(built(judge, criteria=[PARIS, SEINE], probabilities=True), "Paris")
    assert score.reward == pytest.approx(0.8)
    assert all(ask.options == ("yes", "no") and ask.schema is None for ask in judge.asks)


def test_a_judge_that_tells_no_probabilities_fails_and_is_not_guessed_for() -> None:
    judge = Scripted(["yes"])
    score = scored(built(judge, criteria=[PARIS], probabilities=True), "Paris")
    assert score.error is not None
    assert (score.error.code, score.error.retryable) == ("judge_failed", False)


def test_a_calibration_is_applied_to_each_value() -> None:
    isotonic = {"kind": "isotonic", "values": [0.0, 1.0], "probabilities": [0.25, 0.75]}
    scorer = built(Honest(contains), criteria=[PARIS, SEINE], calibration=isotonic)
    assert scored(scorer, "Paris").components == {"paris": 0.75, "seine": 0.25}


# --- programs ---------------------------------------------------------------------------


def test_programs_and_judges_share_a_rubric() -> None:
    judge = Honest(contains)
    score = scored(built(judge, criteria=[PARIS, JSON_FORM]), '{"city": "Paris"}')
    assert score.components == {"paris": 1.0, "json": 1.0}
    assert list(read(judge.asks[0]).keys) == ["c1"]


def test_a_required_program_that_fails_spares_the_call() -> None:
    judge = Honest(contains)
    scorer = built(judge, criteria=[PARIS, {**JSON_FORM, "required": True}])
    score = scored(scorer, "Paris")
    assert (score.reward, score.outcome) == (0.0, "incorrect")
    assert score.details == {"decided_by": "programs"}
    assert judge.asks == []


def test_what_depends_on_a_failed_program_is_not_asked() -> None:
    judge = Honest(contains)
    scorer = built(judge, criteria=[JSON_FORM, {**PARIS, "depends_on": ["json"]}])
    assert scored(scorer, "Paris").reward == 0.0
    assert judge.asks == []
    assert scored(scorer, '"Paris"').reward == 1.0


def test_a_graded_program_counts_by_the_share_of_its_range() -> None:
    length = {"type": "length", "max_length": 20, "buffer": 10}
    short = {"id": "short", "kind": "verifier", "scorer": length}
    assert scored(built(criteria=[short]), "x" * 15).reward == 0.5
    assert scored(built(criteria=[{**short, "at_least": -0.5}]), "x" * 15).reward == 1.0


def test_a_completion_at_fault_has_committed_the_fault_that_a_program_looks_for() -> None:
    fault = {"id": "same", "kind": "verifier", "scorer": "exact_match", "weight": -1.0}
    assert scored(built(criteria=[fault]), "other", reference="this").reward == 1.0
    assert scored(built(criteria=[fault]), "<think>never ends", reference="this").reward == 0.0


def test_an_unusable_reference_leaves_the_sample_unscored() -> None:
    match = {"id": "same", "kind": "verifier", "scorer": "exact_match"}
    judge = Honest(contains)
    score = scored(built(judge, criteria=[PARIS, match]), "Paris")
    assert score.error is not None
    assert score.error.code == "missing_field"
    assert judge.asks == [], "what cannot be scored is not paid for"


def test_a_rubric_of_programs_needs_no_judge_and_is_deterministic() -> None:
    scorer = built(criteria=[JSON_FORM])
    assert scorer.deterministic
    assert scored(scorer, "{}").outcome == "correct"
    assert not built(Honest(contains), criteria=[PARIS]).deterministic


def test_a_criterion_that_another_judge_decides_is_judged() -> None:
    inner = {"type": "rubric", "rubric": {"criteria": [PARIS]}}
    criteria = [{"id": "inner", "kind": "verifier", "scorer": inner}]
    score = scored(built(Honest(contains), criteria=criteria), "Paris")
    assert (score.reward, score.outcome) == (1.0, "judged")
    assert "decided_by" not in score.details


def test_demand_counts_the_programs() -> None:
    scorer = built(Honest(contains), criteria=[PARIS, JSON_FORM, {**JSON_FORM, "id": "again"}])
    assert scorer.demand == Counter({"llm": 1, "cpu": 2})


# --- failures ---------------------------------------------------------------------------


def test_one_repair_turn_and_no_more() -> None:
    judge = Scripted(["I think it is fine.", fixed(True)])
    score = scored(built(judge, criteria=[PARIS]), "Paris")
    assert (score.reward, score.details["repaired"]) == (1.0, 1)
    assert "could not be used" in judge.asks[1].turns[-1].content
    judge = Scripted(["I think it is fine.", "It still is.", fixed(True)])
    score = scored(built(judge, criteria=[PARIS]), "Paris")
    assert score.error is not None
    assert (score.error.code, score.error.retryable) == ("judge_failed", True)
    assert len(judge.asks) == 2


def test_a_failed_score_tells_what_it_took() -> None:
    judge = Scripted(["no", "no"])
    score = scored(built(judge, criteria=[PARIS]), "Paris")
    assert score.error is not None
    assert (score.details["calls"], score.details["cost"] > 0) == (2, True)


def test_a_judge_that_fails_fails_the_panel() -> None:
    down = Scripted([JudgeFailed("gone", retryable=False)], name="down")
    score = scored(built(Honest(contains), down, criteria=[PARIS], judge=["honest", "down"]), "x")
    assert score.error is not None
    assert (score.error.message, score.error.retryable) == ("gone", False)


def test_a_bug_of_ours_is_an_error_that_hides_its_insides() -> None:
    score = scored(built(Scripted([KeyError("inside")]), criteria=[PARIS]), "Paris")
    assert score.error is not None
    assert score.error.code == "internal"
    assert "inside" not in score.error.message


def test_one_sample_that_fails_leaves_its_neighbours_alone() -> None:
    def picky(key: str, seen: Read) -> bool:
        if "bad" in seen.blocks["completion"]:
            raise JudgeFailed("this one not")
        return True

    samples = [Sample(completion=text) for text in ("good", "bad", "good")]
    scores = asyncio.run(built(Honest(picky), criteria=[PARIS]).score(samples))
    assert [score.reward for score in scores] == [1.0, None, 1.0]


# --- what judges see --------------------------------------------------------------------


def test_judges_see_prompt_and_reference_before_the_completion() -> None:
    judge = Honest(contains)
    scorer = built(judge, criteria=[PARIS], reference=True)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hm?"}]
    sample = {"prompt": messages, "completion": "<think>Rome?</think>Paris", "reference": {"a": 1}}
    asyncio.run(scorer.score([Sample.model_validate(sample)]))
    blocks = read(judge.asks[0]).blocks
    assert list(blocks) == ["prompt", "reference", "completion"]
    assert json.loads(blocks["prompt"]) == messages
    assert (blocks["reference"], blocks["completion"]) == ({"a": 1}, "Paris")


def test_reasoning_that_never_ends_is_no_answer() -> None:
    judge = Honest(contains)
    score = scored(built(judge, criteria=[PARIS]), "<think>Paris")
    assert (score.reward, score.outcome) == (0.0, "no_answer")
    assert judge.asks == []


def test_a_completion_that_is_too_long_to_judge_is_rejected_without_a_call() -> None:
    judge = Honest(contains)
    scorer = built(judge, criteria=[PARIS], max_characters=100)
    score = scored(scorer, "Paris " * 20)
    assert (score.reward, score.outcome) == (0.0, "rejected")
    assert judge.asks == []
    assert scored(scorer, "<think>" + "so " * 100 + "</think>Paris").reward == 1.0


def test_a_demanded_reference_is_missed() -> None:
    score = scored(built(Honest(contains), criteria=[PARIS], reference=True), "Paris")
    assert score.error is not None
    assert score.error.code == "missing_field"


# --- rubrics by name and by sample ------------------------------------------------------


def test_a_rubric_may_be_named() -> None:
    rubrics = Rubrics(capital=Rubric.model_validate({"criteria": [PARIS]}))
    named = registry(Honest(contains), rubrics=rubrics)
    scorer = named.build({"type": "rubric", "rubric": "capital"})
    assert scored(scorer, "Paris").reward == 1.0
    inline = built(Honest(contains), criteria=[PARIS])
    assert scorer.identity == inline.identity
    with pytest.raises(SpecError, match="no rubric is called 'city'; known: capital"):
        named.build({"type": "rubric", "rubric": "city"})


@pytest.mark.parametrize(
    "rubric",
    [
        ['Contains "Paris".', 'Contains "Seine".'],
        {"checklist": ['- [ ] Contains "Paris".', '- [ ] Contains "Seine".']},
        {"rubrics": [{"criterion": f'Contains "{word}".', "points": 3} for word in ("Paris", "x")]},
    ],
)
def test_other_systems_rubrics_stand_in_a_spec_as_well(rubric: Any) -> None:
    scorer = registry(Honest(contains)).build({"type": "rubric", "rubric": rubric})
    assert scored(scorer, "Paris").reward == 0.5


def test_a_grader_stands_in_a_spec_as_well() -> None:
    message = {"role": "user", "content": "How good is {{sample.output_text}}?"}
    grader = {"type": "score_model", "name": "good", "model": "m", "input": [message]}
    judge = Honest(lambda key, seen: 0.25)
    scorer = registry(judge).build({"type": "rubric", "rubric": grader})
    assert scored(scorer, "Paris").components == {"good": 0.25}


def test_every_sample_may_bring_its_own_rubric() -> None:
    scorer = registry(Honest(contains)).build("rubric")
    match = {"id": "same", "kind": "verifier", "scorer": "exact_match"}
    own = {"criteria": [PARIS, match], "answer": "Paris"}
    assert scored(scorer, "Paris", reference=own).reward == 1.0
    assert scored(scorer, "Paris!", reference=own).reward == 0.5
    health_bench = {"rubrics": [{"criterion": 'Contains "rest".', "points": 4}]}
    assert scored(scorer, "Get some rest.", reference=health_bench).reward == 1.0


@pytest.mark.parametrize(
    ("reference", "code", "says"),
    [
        (None, "missing_field", "own rubric"),
        ("be nice", "invalid_reference", "reference"),
        ({"criteria": []}, "invalid_reference", "reference.criteria"),
        (
            {"criteria": [{"id": "a", "kind": "verifier", "scorer": "nonsense"}]},
            "invalid_reference",
            "reference.criteria.0.scorer",
        ),
        (
            {"criteria": [{"id": "a", "kind": "verifier", "scorer": "rubric", "at_least": 1.0}]},
            "invalid_reference",
            "no verifier",
        ),
    ],
)
def test_a_sample_without_a_usable_rubric_is_unscored(reference: Any, code: str, says: str) -> None:
    score = scored(registry(Honest(contains)).build("rubric"), "Paris", reference=reference)
    assert score.error is not None
    assert score.error.code == code
    assert says in score.error.message


# --- specs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"judge": "nobody"}, "judge: no judge is called 'nobody'; known: honest, other"),
        ({}, "judge: which one? Known: honest, other"),
        ({"judge": []}, "judge: one to 16"),
        ({"judge": ["honest", "honest"]}, "judge: one to 16"),
        ({"judge": {"honest": 0.0}}, "greater than 0"),
        ({"judge": "honest", "samples": 0}, "greater than or equal to 1"),
        ({"judge": "honest", "mode": "listwise", "probabilities": True}, "no probabilities"),
        ({"judge": "honest", "opponents": 2}, "for the mode pairwise"),
        (
            {"judge": "honest", "rubric": {"criteria": [{**JSON_FORM, "scorer": "nonsense"}]}},
            "rubric.criteria.0.scorer",
        ),
        (
            {"judge": "honest", "rubric": {"criteria": [JSON_FORM]}, "mode": "pairwise"},
            "no verdict of its own",
        ),
        (
            {
                "judge": "honest",
                "rubric": {"criteria": [{"id": "a", "text": "t", "scale": {"whole": False}}]},
                "probabilities": True,
            },
            "too many verdicts",
        ),
    ],
)
def test_a_spec_that_cannot_be_used_is_refused(spec: dict[str, Any], says: str) -> None:
    known = registry(Honest(contains), Honest(contains, name="other"))
    with pytest.raises(SpecError) as refusal:
        known.build({"type": "rubric", "rubric": {"criteria": [PARIS]}, **spec})
    assert says in str(refusal.value)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"rubric": {"criteria": [{"id": "a", "text": "x", "weight": 0}]}}, "criteria.0.weight: "),
        ({"judge": {"grader": 0.0}}, "judge.grader: "),
        ({"judge": [""]}, "judge.0: "),
        ({"rubric": ""}, "rubric: String should have at least 1"),
        ({"calibration": {"kind": "vote"}}, "calibration.temperature: "),
    ],
)
def test_of_a_union_only_the_branch_that_fits_is_told(parameters: Any, says: str) -> None:
    with pytest.raises(SpecError) as refused:
        registry(Honest(contains)).build({"type": "rubric", **parameters})
    assert says in str(refused.value)
    assert len(refused.value.faults) == 1


def test_where_no_branch_of_a_union_fits_all_are_told() -> None:
    with pytest.raises(SpecError) as refused:
        registry(Honest(contains)).build({"type": "rubric", "judge": 7})
    assert len(refused.value.faults) == 3


def test_a_service_without_judges_says_so() -> None:
    with pytest.raises(SpecError, match="the service has no judges"):
        registry().build({"type": "rubric", "rubric": {"criteria": [PARIS]}})


def test_whatever_may_change_a_score_changes_the_digest() -> None:
    def digest(*judges: Judge, criteria: Sequence[Any] = (PARIS,), **spec: Any) -> str:
        return built(*judges, criteria=criteria, **spec).identity.digest

    honest, other = Honest(contains), Honest(contains, name="other", fingerprint="other-1")
    ours = digest(honest)
    assert ours == digest(Honest(contains))
    assert ours == digest(honest, judge="honest") == digest(honest, judge=["honest"])
    digests = [
        ours,
        digest(Honest(contains, fingerprint="honest-2")),
        digest(honest, other, judge=["honest", "other"]),
        digest(honest, other, judge={"honest": 2.0, "other": 1.0}),
        digest(honest, criteria=[{**PARIS, "class": "important"}]),
        digest(honest, version="2"),
        digest(honest, samples=2),
        digest(honest, seed=1),
        digest(honest, criteria=[PARIS, JSON_FORM]),
        digest(honest, mode="pairwise"),
    ]
    assert len(set(digests)) == len(digests)


@settings(max_examples=60)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), min_size=1))
def test_arbitrary_completions_get_rewards_in_order(texts: list[str]) -> None:
    texts = [*texts, "Paris", "<think>"]
    scorer = built(Honest(contains), criteria=[PARIS, LYON])
    scores = asyncio.run(scorer.score([Sample(completion=text) for text in texts]))
    assert len(scores) == len(texts)
    assert all(score.error is None and 0.0 <= (score.reward or 0.0) <= 1.0 for score in scores)
    assert (scores[-2].reward, scores[-1].reward) == (1.0, 0.0)
    assert asyncio.run(scorer.score([])) == []


def test_the_example_earns_the_highest_reward_without_any_judge() -> None:
    sample = Sample.model_validate(RubricScorer.example)
    assert sample.scorer is not None
    scorer = registry().build(sample.scorer)
    [score] = asyncio.run(scorer.score([sample]))
    assert (score.reward, score.outcome) == (1.0, "correct")
