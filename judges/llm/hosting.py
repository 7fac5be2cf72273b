"""All judges of a service, built from its settings and reached by name.

`Services.hosted[Judges]` is how scorers find it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judges.llm.backend import Backend
from judges.llm.budget import Budget
from judges.llm.cache import Cache
from judges.llm.capabilities import FEATURES
from judges.llm.circuit import Circuit
from judges.llm.hosted import HostedJudge
from judges.llm.limits import Limits
from judges.llm.rate import Rate
from judges.llm.replay import ReplayBackend
from judges.llm.retry import Retry
from judges.llm.settings import (
    ChatSettings,
    DecisionSettings,
    JudgeSettings,
    LocalSettings,
    Remote,
    ReplaySettings,
)
from judges.llm.store import Store
from verifiers.base import SpecError

if TYPE_CHECKING:
    from judges.llm.endpoint import Endpoint


class Judges(Mapping[str, HostedJudge]):
    """The judges that a service hosts, by name. Without any it is empty, and no fault.

    Args:
        settings: by the judges' names.
        store: the file of recorded replies and spending; None keeps them in memory.

    Raises:
        SpecError: a judge's file or folder is not what it should be.
    """

    def __init__(
        self, settings: Mapping[str, JudgeSettings] | None = None, store: Path | None = None
    ) -> None:
        self._store = Store(store)
        self._judges = {
            name: hosted(name, table, self._store) for name, table in (settings or {}).items()
        }

    def __getitem__(self, name: str) -> HostedJudge:
        return self._judges[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._judges)

    def __len__(self) -> int:
        return len(self._judges)

    async def start(self) -> None:
        for judge in self.values():
            await judge.start()

    async def close(self) -> None:
        for judge in self.values():
            await judge.close()
        await self._store.close()

    def faults(self) -> dict[str, str]:
        """The judges that cannot answer now, each with its reason."""
        found = {judge.name: judge.fault() for judge in self.values()}
        return {name: fault for name, fault in found.items() if fault is not None}


def hosted(name: str, settings: JudgeSettings, store: Store) -> HostedJudge:
    limits = Limits(
        budget=Budget(store, name, run=settings.run_cap.build(), key=settings.key_cap.build()),
        rate=Rate(settings.requests_per_minute, settings.tokens_per_minute),
        circuit=Circuit(settings.open_circuit_after, settings.circuit_cool_s),
        retry=Retry(settings.max_attempts, settings.retry_base_s),
        price=settings.price.build(),
        concurrency=settings.max_concurrency,
        timeout_s=settings.timeout_s,
    )
    cache = Cache(store) if settings.cache else None
    try:
        backend = BUILDERS[type(settings)](settings)
    except ValueError as error:
        raise SpecError([(("judges", name), str(error))]) from None
    return HostedJudge(name, backend, limits, cache)


# Each imports what it needs when it is wanted: a service without judges stays small.


def endpoint(settings: Remote) -> Endpoint:
    from judges.llm.endpoint import Endpoint

    return Endpoint(settings.base_url, api_key_env=settings.api_key_env)


def chat(settings: ChatSettings) -> Backend:
    from judges.llm.chat import ChatBackend

    told = {feature: getattr(settings, feature) for feature in FEATURES}
    return ChatBackend(
        endpoint(settings),
        settings.model,
        length_field=settings.length_field,
        extra=settings.extra_body,
        omit=settings.omit,
        known={feature: honoured for feature, honoured in told.items() if honoured is not None},
    )


def decisions(settings: DecisionSettings) -> Backend:
    from judges.llm.decisions import DecisionBackend

    return DecisionBackend(endpoint(settings), settings.model, settings.kind)


def local(settings: LocalSettings) -> Backend:
    from judges.llm.local_model import LocalBackend

    return LocalBackend(
        settings.path, device=settings.device, max_batch_tokens=settings.max_batch_tokens
    )


def replay(settings: ReplaySettings) -> Backend:
    return ReplayBackend(settings.path)


BUILDERS: dict[type[Any], Callable[[Any], Backend]] = {
    ChatSettings: chat,
    DecisionSettings: decisions,
    LocalSettings: local,
    ReplaySettings: replay,
}
