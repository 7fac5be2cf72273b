"""The service's end: a few zygotes, and sessions with the supervisors they fork."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from verifiers.sandbox import channel
from verifiers.sandbox.languages import LANGUAGES, Language
from verifiers.sandbox.languages.base import PATH

logger = logging.getLogger(__name__)

ROOT = Path(__file__).parent.parent.parent

ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PATH": PATH,
    "PYTHONHASHSEED": "0",  # the same program, the same order of its sets, the same score
    "PYTHONDONTWRITEBYTECODE": "1",
    "MALLOC_ARENA_MAX": "1",  # an arena a thread would eat the address space
    "OPENBLAS_NUM_THREADS": "1",
}
"""All that zygotes and programs see of an environment."""

SLOTS = 1_500
"""Numbers of slots, each of which is a user where we are root: see `zygote.FIRST_UID`. The kernel
counts a user's processes on all of a machine, so services begin somewhere of their own: those of
one would else take places from another's programs."""

START_TIMEOUT_S = 30.0
STALL_FACTOR = 30.0
"""A supervisor that takes so many times its program's wall limit is broken."""

START = """
import sys
descriptor, slot, site_packages, root = sys.argv[1:]
sys.path.insert(0, root)
from verifiers.sandbox import zygote
sys.path.remove(root)
zygote.main(int(descriptor), int(slot), site_packages or None)
"""


class SandboxError(Exception):
    """The sandbox failed, not the program in it. Worth trying again."""


@dataclass(frozen=True)
class RunLimits:
    """What one run of a program may use."""

    cpu_s: float = 4.0
    memory_bytes: int = 512 * 1024 * 1024
    output_bytes: int = 4 * 1024 * 1024

    @property
    def wall_s(self) -> float:
        """Only for sleepers: see "Time" in the README."""
        return max(3 * self.cpu_s, self.cpu_s + 2)


@dataclass(frozen=True)
class Program:
    """What is to be run.

    Attributes:
        source: the program's text.
        preamble: another text, run before it in the same namespace, for programs whose
            functions are called.
        inputs: standard input of each test or, with an `entry_point`, the encoded pair
            (args, kwargs) of each call.
        driven: test code will call the program.
        language: what it is written in. Others than Python run a test at a time.
    """

    source: bytes
    preamble: bytes = b""
    inputs: Sequence[bytes] = ()
    entry_point: str | None = None
    driven: bool = False
    language: Language = LANGUAGES["python"]
    limits: RunLimits = field(default_factory=RunLimits)


@dataclass(frozen=True)
class Execution:
    """How a run over some tests went.

    `outputs` are those of the tests that finished, in order; after a verdict other than
    "ok" the last started test is not among them, and `rest` is what it had written.
    """

    verdict: str
    outputs: list[bytes]
    rest: bytes
    cpu_ms: float
    wall_ms: float
    waited_ms: float
    """Of `wall_ms`, those in which it was ready to run and had no processor."""
    peak_kib: int
    stderr: str
    was_crowded: bool
    """It has had as many processes as it may, in the processor time that it may use."""


class Zygote:
    """One zygote process and the socket to it."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self.layers: tuple[str, ...] = ()
        self.missing: dict[str, str] = {}

    @classmethod
    async def start(cls, slot: int) -> Zygote:
        ours, theirs = socket.socketpair()
        arguments = (str(theirs.fileno()), str(slot), numpy_folder() or "", str(ROOT))
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-s", "-S", "-P", "-X", "utf8", "-c", START, *arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        zygote = cls(process, *await asyncio.open_connection(sock=ours))
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                header, _ = await zygote.receive()
        except BaseException:
            await zygote.stop()
            raise
        zygote.layers, zygote.missing = tuple(header["layers"]), header["missing"]
        return zygote

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        self._writer.write(channel.pack(header, payload))

    async def receive(self) -> channel.Frame:
        try:
            lengths = await self._reader.readexactly(channel.LENGTHS.size)
            header_length, payload_length = channel.LENGTHS.unpack(lengths)
            header = await self._reader.readexactly(header_length)
            return channel.unpack(header, await self._reader.readexactly(payload_length))
        except (asyncio.IncompleteReadError, OSError) as error:
            raise SandboxError("a sandbox process ended unexpectedly") from error

    async def stop(self) -> None:
        """Hangs up: everything at the other end kills its children and ends."""
        self._writer.close()
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            logger.error("a sandbox process does not end and is killed")
            self._process.kill()
            await self._process.wait()


class Session:
    """One submission under way."""

    def __init__(self, zygote: Zygote, program: Program) -> None:
        self._zygote = zygote
        self._stall_s = program.limits.wall_s * STALL_FACTOR
        parts = [program.source, program.preamble, *program.inputs]
        header = {
            "limits": {**asdict(program.limits), "wall_s": program.limits.wall_s},
            "entry_point": program.entry_point,
            "driven": program.driven,
            "language": commands_of(program.language),
            "sizes": [len(part) for part in parts],
        }
        zygote.send(header, b"".join(parts))

    async def run(self, tests: Sequence[int]) -> Execution:
        """Runs the program over `tests`, one after the other in one process.

        Raises:
            SandboxError: it could not be run.
        """
        header, output = await self._ask({"do": "run", "tests": list(tests)})
        if header["verdict"] == "sandbox_error":
            raise SandboxError(f"a sandbox could not be set up: {header['stderr'][-200:]}")
        ends = header.pop("ends")
        starts = [0, *ends]
        outputs = [output[a:b] for a, b in zip(starts, ends, strict=False)]
        return Execution(outputs=outputs, rest=output[starts[-1] :], **header)

    async def drive(
        self,
        test_code: bytes,
        stubs: dict[str, str],
        values: Sequence[str] = (),
        *,
        stop_early: bool,
    ) -> tuple[dict[str, Any], bytes]:
        """Runs test code against the program: see `driver.run_test_code`."""
        command = {"do": "drive", "stubs": stubs, "values": values, "stop_early": stop_early}
        header, report = await self._ask(command, test_code)
        if "sandbox_error" in (header["candidate"], header["tests"]):
            raise SandboxError("a sandbox could not be set up")
        return header, report

    async def _ask(self, command: dict[str, Any], payload: bytes = b"") -> channel.Frame:
        self._zygote.send(command, payload)
        try:
            async with asyncio.timeout(self._stall_s):
                header, payload = await self._zygote.receive()
        except TimeoutError:
            raise SandboxError("a sandbox process does not answer") from None
        if "failure" in header:
            raise SandboxError(header["failure"])
        return header, payload


class Sandbox:
    """Runs programs on up to `workers` zygotes, each started when first needed."""

    def __init__(self, *, workers: int = 1) -> None:
        self.workers = workers
        self.layers: tuple[str, ...] = ()
        self.faults: tuple[str, ...] = ("the sandbox was not probed",)
        """Why it does not hold on this machine: what `probe` found."""
        first = secrets.randbelow(SLOTS)
        self._free_slots = [(first + number) % SLOTS for number in range(workers)]
        self._idle: list[tuple[int, Zygote]] = []
        self._slots = asyncio.Semaphore(workers)
        self._alive: set[Zygote] = set()

    @contextlib.asynccontextmanager
    async def session(self, program: Program) -> AsyncIterator[Session]:
        """A submission of its own, for as long as the block lasts.

        Raises:
            SandboxError: the sandbox failed. The zygote concerned has been replaced.
        """
        async with self._slots:
            slot, zygote = await self._take()
            try:
                yield Session(zygote, program)
                zygote.send({"do": "end"})
            except BaseException:
                await self._discard(slot, zygote)
                raise
            self._idle.append((slot, zygote))

    async def _take(self) -> tuple[int, Zygote]:
        while self._idle:
            slot, zygote = self._idle.pop()
            if zygote.is_alive:
                return slot, zygote
            await self._discard(slot, zygote)
        slot = self._free_slots.pop()
        try:
            zygote = await Zygote.start(slot)
        except BaseException as error:
            self._free_slots.append(slot)
            if isinstance(error, OSError | TimeoutError):
                raise SandboxError(f"a sandbox process does not start: {error}") from error
            raise
        self._alive.add(zygote)
        self.layers = zygote.layers
        return slot, zygote

    async def _discard(self, slot: int, zygote: Zygote) -> None:
        try:
            await zygote.stop()
        finally:  # only now, so that `stop` waits for those that are still ending
            self._alive.discard(zygote)
            self._free_slots.append(slot)

    def pids(self) -> list[int]:
        """The zygotes."""
        return [zygote.pid for zygote in self._alive]

    async def stop(self) -> None:
        self._idle.clear()
        await asyncio.gather(*(zygote.stop() for zygote in list(self._alive)))


def commands_of(language: Language) -> dict[str, Any]:
    """What a supervisor must know of a language."""
    return {
        "file_name": language.file_name,
        "compile": language.compile,
        "run": language.run,
        "may_fork": language.may_fork,
    }


def numpy_folder() -> str | None:
    """Where numpy is installed beside the service; None where it is not."""
    from importlib.util import find_spec

    spec = find_spec("numpy")
    return str(Path(spec.origin).parent.parent) if spec and spec.origin else None
