"""Which scorers there are, and how a spec becomes one.

A new scorer, or a new family of them, is one line in `BUILT_IN_AT`; another distribution adds
its own under the entry point group `assay.scorers`. There is no directory scan.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from pydantic import ValidationError

from verifiers.answer_clusters import AnswerClusters
from verifiers.base import Parameters, Run, Scorer, Services, SpecError, run_here
from verifiers.errors import faults_in, place
from verifiers.majority import FinalAnswer
from verifiers.sample import MAX_NAME_CHARACTERS, ScorerSpec

BUILT_IN_AT = (
    "string_reversal:StringReversal",
    "code_execution:CodeExecution",
    "code_execution:PythonGrader",
    "exact_match:ExactMatch",
    "string_check:StringCheck",
    "text_similarity:TextSimilarity",
    "regular_expression:Regex",
    "json_schema:JsonSchema",
    "format:Format",
    "length:Length",
    "repetition:Repetition",
    "weighted:Weighted",
    "math_equivalence:MathEquivalence",
    "majority:Majority",
)
"""Modules of this package, and what each gives: a scorer, or a family as a tuple of scorers."""


def found_at(place: str) -> tuple[type[Scorer[Any]], ...]:
    module, _, name = place.partition(":")
    found: Any = getattr(import_module(f"{__package__}.{module}"), name)
    return found if isinstance(found, tuple) else (found,)


BUILT_IN = tuple(scorer for place in BUILT_IN_AT for scorer in found_at(place))

PARTS: tuple[type[Scorer[Any]], ...] = (FinalAnswer, AnswerClusters)
"""What scorers run where it can be killed. Worker processes build them, requests cannot."""

ENTRY_POINT_GROUP = "assay.scorers"

MAX_BUILT = 1_024
"""Scorers kept ready, so that a compiled pattern or schema is paid for once."""

MAX_DEPTH = 8
"""Composites inside composites. Deeper is a mistake, or a preset that names itself."""


class UnknownScorer(SpecError):
    """No scorer or preset has this name."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__([((), f"no scorer or preset is called {name[:MAX_NAME_CHARACTERS]!r}")])
        self.known = known

    def __str__(self) -> str:
        return f"{super().__str__()}; known: {', '.join(self.known)}"


class Registry:
    """Builds scorers from specs, each once.

    Args:
        presets: names for specs, from the settings.
        run: how a composite scores its parts. The service passes its scheduler, so that
            a part that may hang runs where it can be killed.
        more: scorers beside the verifiers: those that this package may not import.
        hosted: see `Services`.

    Raises:
        SpecError: two scorers share a name, or a preset takes a scorer's name or does not
            build.
    """

    def __init__(
        self,
        presets: Mapping[str, ScorerSpec] | None = None,
        *,
        run: Run = run_here,
        more: Iterable[type[Scorer[Any]]] = (),
        hosted: Mapping[type, Any] | None = None,
    ) -> None:
        self.types = by_name([*BUILT_IN, *more, *installed()])
        self.presets = dict(presets or {})
        self._run = run
        self._hosted = hosted or {}
        self._built: OrderedDict[str, Scorer[Any]] = OrderedDict()
        for name in self.presets:
            if name in self.types:
                raise SpecError([(("presets", name), "a preset may not take a scorer's name")])
            try:
                self.build(name)
            except SpecError as error:
                raise error.below("presets", name) from None

    def names(self) -> list[str]:
        return sorted([*self.types, *self.presets])

    def forget(self) -> None:
        """Builds every scorer anew from now on: something that they rest on was replaced."""
        self._built.clear()

    def build(self, spec: ScorerSpec, *, depth: int = 0) -> Scorer[Any]:
        """The scorer that `spec` describes.

        Args:
            depth: how many composites and presets it lies in.

        Raises:
            UnknownScorer: no scorer or preset has this name.
            SpecError: the parameters do not fit the scorer.
        """
        key = spec if isinstance(spec, str) else canonical(spec)
        if key in self._built:
            self._built.move_to_end(key)
            return self._built[key]
        if depth > MAX_DEPTH:
            raise SpecError([((), f"scorers are nested more than {MAX_DEPTH} deep")])
        if isinstance(spec, str) and spec in self.presets:
            scorer = self.build(self.presets[spec], depth=depth + 1)
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
        if name in self.presets:
            raise SpecError([(("type",), f"{name!r} is a preset: give its name alone")])
        scorer_type = self.types.get(name)
        if scorer_type is None:
            raise UnknownScorer(name, self.names())
        try:
            given = {key: value for key, value in spec.items() if key != "type"}
            parameters = validated(scorer_type.parameters_type, given)
        except ValidationError as error:
            raise SpecError(faults_in(error, given)) from None
        services = Services(
            build=partial(self.build, depth=depth + 1),
            run=self._run,
            types=self.types,
            presets=self.presets,
            hosted=self._hosted,
        )
        return scorer_type.create(parameters, services)


def validated(parameters_type: type[Parameters], given: dict[str, Any]) -> Parameters:
    """The parameters, where 2.0 is an integer as it is in JSON Schema."""
    try:
        return parameters_type.model_validate(given)
    except ValidationError as error:
        written_otherwise = [
            (place(fault["loc"], given, fault["type"]), int(number))
            for fault in error.errors(include_url=False, include_context=False)
            if fault["type"] == "int_type"
            and isinstance(number := fault["input"], float)
            and number.is_integer()
        ]
        if not written_otherwise:
            raise
        mended: Any = deepcopy(given)
        for (*way, last), number in written_otherwise:
            holder = mended
            for step in way:
                holder = holder[step]
            holder[last] = number
        return parameters_type.model_validate(mended)


def canonical(spec: Mapping[str, Any]) -> str:
    """The same text for every way of writing the same spec."""
    try:
        return json.dumps(spec, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise SpecError([((), "not JSON, or nested too deep")]) from None


def by_name(scorers: Iterable[type[Scorer[Any]]]) -> dict[str, type[Scorer[Any]]]:
    types: dict[str, type[Scorer[Any]]] = {}
    for scorer in scorers:
        if types.setdefault(scorer.name, scorer) is not scorer:
            raise SpecError([((scorer.name,), "two installed scorers have this name")])
    return types


def installed() -> Iterator[type[Scorer[Any]]]:
    """The scorers that installed distributions offer."""
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        yield entry_point.load()
