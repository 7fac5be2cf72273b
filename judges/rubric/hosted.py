"""What a rubric takes from whoever hosts it: judges and rubrics by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from judges.llm.base import Judge
from judges.llm.hosting import Judges
from judges.rubric.rubric import Rubric, Rubrics
from verifiers.base import Services, SpecError

MAX_JUDGES = 16
"""Each of a panel is paid for."""


def named_rubric(given: Rubric | str | None, services: Services) -> Rubric | None:
    if not isinstance(given, str):
        return given
    rubrics: Mapping[str, Rubric] = services.hosted.get(Rubrics, {})
    if given not in rubrics:
        known = ", ".join(sorted(rubrics)) or "none"
        raise SpecError([(("rubric",), f"no rubric is called {given!r}; known: {known}")])
    return rubrics[given]


def chosen_judges(
    given: str | Sequence[str] | Mapping[str, float] | None, services: Services
) -> dict[str, Judge]:
    """The judges that a spec names, or the only one there is.

    Raises:
        SpecError: there is none of that name, one is named twice, or there is a choice.
    """
    hosted: Mapping[str, Judge] = services.hosted.get(Judges, {})
    known = ", ".join(sorted(hosted)) or "none: the service has no judges"
    if given is None:
        if len(hosted) != 1:
            raise SpecError([(("judge",), f"which one? Known: {known}")])
        return dict(hosted)
    names = [given] if isinstance(given, str) else list(given)
    if not 1 <= len(names) <= MAX_JUDGES or len(set(names)) < len(names):
        raise SpecError([(("judge",), f"one to {MAX_JUDGES} different names are needed")])
    for name in names:
        if name not in hosted:
            raise SpecError([(("judge",), f"no judge is called {name!r}; known: {known}")])
    return {name: hosted[name] for name in sorted(names)}
