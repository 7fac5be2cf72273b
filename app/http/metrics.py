"""What `GET /metrics` shows, in Prometheus text. Labels never hold what callers wrote."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from app.lanes.lane import Job, Lane
from judges.llm.hosted import HostedJudge
from verifiers.base import Score

SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The counters of one service: a registry of its own, so that two never mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(namespace="assay", registry=self.registry)
        self._requests = Counter(
            "assay_http_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "assay_http_request_seconds",
            "Time from a request's arrival to the end of its reply.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._scores = Counter(
            "assay_scores",
            "Samples settled; `outcome` is the error's code where there is no reward.",
            ["scorer", "outcome"],
            registry=self.registry,
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def job(self, job: Job) -> None:
        """Counts the scores of a finished job; those that no scorer had, under "none"."""
        by_scorer = [
            (batch.scorer.name, [job.scores[index] for index in batch.indices])
            for batch in job.batches
        ]
        if sum(len(scores) for _, scores in by_scorer) < len(job.scores):
            by_scorer.append(("none", [s for s in job.scores if s is not None and not s.scorer]))
        for name, scores in by_scorer:
            tally: Tally[str] = Tally([s.outcome or outcome_of(s) for s in scores if s is not None])
            for outcome, count in tally.items():
                self._scores.labels(name, outcome).inc(count)

    def watch(self, lanes: Iterable[Lane]) -> None:
        """Shows how full the lanes are, read when asked."""
        self.registry.register(LaneCollector(list(lanes)))

    def watch_judges(self, judges: Mapping[str, HostedJudge]) -> None:
        """Shows what judges did and cost, read when asked."""
        self.registry.register(JudgeCollector(judges))

    def render(self) -> bytes:
        return generate_latest(self.registry)


def outcome_of(score: Score) -> str:
    """The label of a score without an outcome: its error's code."""
    return score.error.code if score.error else "none"


class LaneCollector(Collector):
    def __init__(self, lanes: list[Lane]) -> None:
        self._lanes = lanes

    def collect(self) -> Iterable[Metric]:
        pending = GaugeMetricFamily(
            "assay_lane_pending_samples", "Admitted and not yet scored.", labels=["lane"]
        )
        ready = GaugeMetricFamily("assay_lane_ready", "1 where the lane scores.", labels=["lane"])
        for lane in self._lanes:
            pending.add_metric([lane.name], lane.pending)
            ready.add_metric([lane.name], lane.fault() is None)
        return [pending, ready]


class JudgeCollector(Collector):
    """What each judge of the settings was asked, and what it took."""

    def __init__(self, judges: Mapping[str, HostedJudge]) -> None:
        self._judges = judges

    def collect(self) -> Iterable[Metric]:
        asks = CounterMetricFamily(
            "assay_judge_asks",
            "Questions settled: answered by a call, shared with an equal one in flight, from "
            "records (cached), or failed.",
            labels=["judge", "how"],
        )
        calls = CounterMetricFamily(
            "assay_judge_calls", "Calls sent, failed ones included.", labels=["judge"]
        )
        failed = CounterMetricFamily(
            "assay_judge_failed_calls", "Calls that came to nothing.", labels=["judge"]
        )
        tokens = CounterMetricFamily(
            "assay_judge_tokens", "Tokens taken.", labels=["judge", "kind"]
        )
        cost = CounterMetricFamily(
            "assay_judge_cost", "In the currency of the judge's prices.", labels=["judge"]
        )
        ready = GaugeMetricFamily("assay_judge_ready", "1 where it answers.", labels=["judge"])
        for name, judge in self._judges.items():
            counts, used = judge.counts, judge.counts.used
            for how in ("answered", "shared", "cached", "failed"):
                asks.add_metric([name, how], getattr(counts, how))
            calls.add_metric([name], used.calls)
            failed.add_metric([name], counts.failed_calls)
            tokens.add_metric([name, "prompt"], used.prompt_tokens)
            tokens.add_metric([name, "completion"], used.completion_tokens)
            cost.add_metric([name], used.cost)
            ready.add_metric([name], judge.fault() is None)
        return [asks, calls, failed, tokens, cost, ready]
