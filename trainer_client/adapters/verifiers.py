"""verifiers and prime-rl: a reward method for a `Task`.

    class Reverse(vf.Task[ReverseData]):
        assay = reward(RemoteScorer("http://127.0.0.1:8000", "string_reversal"))

What could not be scored raises `Unscored`; verifiers stores that on the trace, and prime-rl
keeps such a trace out of training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trainer_client.adapters.remote import RemoteScorer


def reward(
    remote: RemoteScorer, *, reference: str | None = "answer", weight: float = 1.0
) -> Callable[..., Any]:
    """A `@vf.reward` method that scores the last reply.

    Components become metrics of the trace.

    Args:
        reference: the field of the task's data that holds what is right.
    """
    # PyPI's package; the service has one of this name, too, which is why they are not installed
    # beside each other.
    import verifiers.v1 as vf  # type: ignore[import-not-found]

    @vf.reward(weight=weight)  # type: ignore[untyped-decorator]
    async def assay(self: Any, trace: Any) -> float:
        sample = {
            "prompt": self.data.prompt_text or None,
            "completion": trace.last_reply,
            "reference": None if reference is None else getattr(self.data, reference),
        }
        [score] = await remote.score_async([sample])
        value = score.reward_or_raise()
        trace.record_metrics(score.components)
        return value

    return assay  # type: ignore[no-any-return]
