"""The reward models that a service has by name: loaded, reloaded, watched, described.

A new folder is loaded beside the running model, checked, and only then takes its name. One
that cannot be used is refused with a sentence, and the running model stays.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from judges.reward_model.guards.guards import Guards, GuardsRefused
from judges.reward_model.serve.engine import Engine, ValueCache
from judges.reward_model.serve.served import ServedModel
from verifiers.errors import ModelUnavailable

logger = logging.getLogger(__name__)

WATCH_S = 1.0
"""How often a watched folder is looked at. It must look the same twice before it is read, so
that a checkpoint is not loaded while it is being written."""

Stamp = tuple[tuple[str, int, int], ...]
"""Name, size and time of change of every file in a folder."""


class RewardModelSettings(BaseModel):
    """One named reward model of the service: a table `[reward_models.NAME]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path = Field(description="Its folder, as `assay reward-model train` writes it.")
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?)$", description="cpu, cuda or cuda:N.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="Of the weights; the lower ones are for speed on GPUs."
    )
    watch: bool = Field(False, description="Reload when the folder changes.")
    batch_tokens: int | None = Field(
        None, ge=1, description="Tokens of one batch, padding included. Default: by the device."
    )


class UnknownModel(LookupError):
    """No reward model has this name."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(
            f"no reward model is called {name[:256]!r}; known: {', '.join(known) or 'none'}"
        )


class ReloadRefused(Exception):
    """The folder cannot be served. The message says why and what to do."""


class NamedModel:
    """What a name stands for: the version that serves now, if any."""

    def __init__(self, name: str, settings: RewardModelSettings) -> None:
        self.name = name
        self.settings = settings
        self.serving: ServedModel | None = None
        self.refusal: str | None = None
        """Why the newest folder was refused; None where it serves."""
        self.seen: Stamp = ()
        self.changing = asyncio.Lock()

    def current(self) -> ServedModel:
        """The version that serves now.

        Raises:
            ModelUnavailable: none was ever loaded.
        """
        if self.serving is not None:
            return self.serving
        if self.refusal is not None:
            raise ModelUnavailable(f"{self.name} is not loaded: {self.refusal}", retryable=False)
        raise ModelUnavailable(f"{self.name} is still being loaded")


class RewardModels:
    """The named models of one service.

    Args:
        settings: by name; the first is what a scorer that names no model takes.
        cache_values: how many numbers are remembered: a reward takes one a head, and an embedding
            hundreds.
        on_change: called, on the event loop, whenever a name got a new version.
    """

    def __init__(
        self,
        settings: Mapping[str, RewardModelSettings],
        *,
        cache_values: int = 16_000_000,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.named = {name: NamedModel(name, each) for name, each in settings.items()}
        self.on_change = on_change
        self._cache = ValueCache(cache_values)
        # Models that share a device share a queue.
        self._engines = {
            place: Engine(place[0], batch_tokens=place[1], cache=self._cache)
            for place in {(each.device, each.batch_tokens) for each in settings.values()}
        }
        self._preparer = ThreadPoolExecutor(1, "reward-model-text")
        self._watcher: asyncio.Task[None] | None = None

    def __getitem__(self, name: str) -> NamedModel:
        if name not in self.named:
            raise UnknownModel(name, list(self.named))
        return self.named[name]

    async def start(self) -> None:
        """Loads every model. One that is refused leaves its sentence, and the others serve."""
        for named in self.named.values():
            try:
                await self._load(named)
            except ReloadRefused as refusal:
                logger.error("reward model %s: %s", named.name, refusal)
        if any(named.settings.watch for named in self.named.values()):
            self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
        for engine in self._engines.values():
            await engine.stop()
        await asyncio.to_thread(self._preparer.shutdown)

    def faults(self) -> list[str]:
        """A sentence for every name that stands for no model."""
        return [
            f"{named.name}: {named.refusal or 'not loaded yet'}"
            for named in self.named.values()
            if named.serving is None
        ]

    async def reload(self, name: str) -> bool:
        """Reads the folder again. Returns whether its content differs from what served.

        Raises:
            UnknownModel: there is no such name.
            ReloadRefused: the folder cannot be served; what served before still does.
        """
        named = self[name]
        before = named.serving
        await self._load(named)
        return before is None or named.current().digest != before.digest

    async def _load(self, named: NamedModel) -> None:
        async with named.changing:
            named.seen = await asyncio.to_thread(stamp, named.settings.path)
            try:
                version = await asyncio.to_thread(self._read, named)
                if named.seen != await asyncio.to_thread(stamp, named.settings.path):
                    raise ReloadRefused("the folder changed while it was read; reload it again")
            except ReloadRefused as refusal:
                named.refusal = str(refusal)
                raise
            named.serving, named.refusal = version, None
            logger.info("reward model %s serves %s", named.name, version.digest)
            self.on_change()

    def _read(self, named: NamedModel) -> ServedModel:
        """Loads the folder: seconds, in a thread.

        Raises:
            ReloadRefused: with a sentence, which holds no path of this machine.
        """
        settings = named.settings
        try:
            import torch

            from judges.reward_model.model.load import load
            from judges.reward_model.model.loading_checks import ModelRefused
        except ImportError as error:
            raise ReloadRefused(
                f"{error.name} is not installed: pip install -e '.[reward-model]'"
            ) from None
        try:
            dtype = getattr(torch, settings.dtype)
            model = load(settings.path, device=settings.device, dtype=dtype)
            guards = Guards.from_card(model.card.guards)
        except (ModelRefused, GuardsRefused) as error:
            sentence = without_paths(str(error), settings.path, f"the folder of {named.name!r}")
            raise ReloadRefused(sentence) from None
        except Exception as error:
            logger.exception("reward model %s does not load", named.name)
            raise ReloadRefused(
                f"loading failed with {type(error).__name__}; the service's log has more"
            ) from None
        engine = self._engines[settings.device, settings.batch_tokens]
        return ServedModel(named.name, model, engine, self._preparer, guards)

    async def _watch(self) -> None:
        """Reloads watched folders that changed, once they have stopped changing."""
        before: dict[str, Stamp] = {}
        while True:
            await asyncio.sleep(WATCH_S)
            for name, named in self.named.items():
                if not named.settings.watch:
                    continue
                now = await asyncio.to_thread(stamp, named.settings.path)
                if now != named.seen and now == before.get(name):
                    try:
                        await self._load(named)
                    except ReloadRefused as refusal:
                        logger.error("reward model %s: %s", name, refusal)
                before[name] = now


def without_paths(sentence: str, folder: Path, called: str) -> str:
    """The sentence with the folder called something else than its place on this machine."""
    for path in (str(folder.absolute()), str(folder)):
        # Whole paths alone: a folder may be called m, and so may much else.
        sentence = re.sub(rf"(?<![\w./-]){re.escape(path)}(?![\w-])", called, sentence)
    return sentence


def stamp(folder: Path) -> Stamp:
    """What a folder looks like from outside; empty where there is none."""
    try:
        found = [(path.name, path.stat()) for path in sorted(folder.iterdir())]
    except OSError:
        return ()
    return tuple((name, status.st_size, status.st_mtime_ns) for name, status in found)
