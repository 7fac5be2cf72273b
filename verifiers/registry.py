"""Which scorers there are, and how a spec becomes one.

A new scorer is one line in `BUILT_IN`; another distribution adds its own under the entry
point group `assay.scorers`. There is no directory scan.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

from pydantic import ValidationError

from verifiers.base import Run, Scorer, ScorerSpec, Services, run_here
from verifiers.code_execution import CodeExecution
from verifiers.string_reversal import StringReversal

BUILT_IN: tuple[type[Scorer[Any]], ...] = (CodeExecution, StringReversal)

ENTRY_POINT_GROUP = "assay.scorers"

MAX_BUILT = 1_024
"""Scorers kept ready, so that a compiled pattern or schema is paid for once."""

MAX_DEPTH = 8
"""Composites inside composites. Deeper is a mistake, or a preset that names itself."""


class SpecError(ValueError):
    """A scorer spec that cannot be used.

    `faults` holds (path, message) pairs; a path is a tuple as in pydantic's `loc`.
    """

    def __init__(self, faults: list[tuple[tuple[str | int, ...], str]]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, path))}: {m}" for path, m in faults))
        self.faults = faults


class UnknownScorer(SpecError):
    """No scorer or preset has this name."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__([(("type",), f"no scorer or preset is called {name!r}")])
        self.name = name
        self.known = known

    def __str__(self) -> str:
        return f"no scorer or preset is called {self.name!r}; known: {', '.join(self.known)}"


class Registry:
    """Builds scorers from specs, each once.

    Args:
        presets: names for specs, from the settings.
        run: how a composite scores its parts. The service passes its scheduler, so that
            a part that may hang runs where it can be killed.

    Raises:
        SpecError: a preset takes a built-in scorer's name or does not build.
    """

    def __init__(
        self, presets: Mapping[str, ScorerSpec] | None = None, *, run: Run = run_here
    ) -> None:
        self.types = {scorer.name: scorer for scorer in discover()}
        self.presets = dict(presets or {})
        self._run = run
        self._built: OrderedDict[str, Scorer[Any]] = OrderedDict()
        for name in self.presets:
            if name in self.types:
                raise SpecError([((name,), "a preset may not take a scorer's name")])
            self.build(name)

    def names(self) -> list[str]:
        return sorted([*self.types, *self.presets])

    def build(self, spec: ScorerSpec) -> Scorer[Any]:
        """The scorer that `spec` describes.

        Raises:
            UnknownScorer: no scorer or preset has this name.
            SpecError: the parameters do not fit the scorer.
        """
        return self._build(spec, depth=0)

    def _build(self, spec: ScorerSpec, depth: int) -> Scorer[Any]:
        key = spec if isinstance(spec, str) else json.dumps(spec, sort_keys=True)
        if key in self._built:
            self._built.move_to_end(key)
            return self._built[key]
        if depth > MAX_DEPTH:
            raise SpecError([((), f"scorers are nested more than {MAX_DEPTH} deep")])
        if isinstance(spec, str) and spec in self.presets:
            scorer = self._build(self.presets[spec], depth + 1)
        else:
            scorer = self._create({"type": spec} if isinstance(spec, str) else spec, depth)
        self._built[key] = scorer
        if len(self._built) > MAX_BUILT:
            self._built.popitem(last=False)
        return scorer

    def _create(self, spec: Mapping[str, Any], depth: int) -> Scorer[Any]:
        name = spec.get("type")
        if not isinstance(name, str):
            raise SpecError([(("type",), "names the scorer: a string is needed here")])
        scorer_type = self.types.get(name)
        if scorer_type is None:
            raise UnknownScorer(name, self.names())
        try:
            parameters = scorer_type.parameters_type.model_validate(
                {key: value for key, value in spec.items() if key != "type"}
            )
        except ValidationError as error:
            faults = error.errors(include_url=False, include_input=False, include_context=False)
            raise SpecError([(fault["loc"], fault["msg"]) for fault in faults]) from None
        services = Services(build=lambda part: self._build(part, depth + 1), run=self._run)
        return scorer_type.create(parameters, services)


def discover() -> Iterator[type[Scorer[Any]]]:
    """The built-in scorers, then those that installed distributions offer."""
    yield from BUILT_IN
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        yield entry_point.load()
