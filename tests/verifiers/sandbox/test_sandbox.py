"""The engine: limits, what is told apart, and what happens when parts of it are missing or die."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.processes import children
from verifiers.sandbox import cgroup, pool
from verifiers.sandbox.languages import LANGUAGES
from verifiers.sandbox.pool import Execution, Program, RunLimits, Sandbox, SandboxError
from verifiers.sandbox.probe import probe

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux only"),
]

T = TypeVar("T")


def with_sandbox(use: Callable[[Sandbox], Awaitable[T]], workers: int = 1) -> T:
    async def go() -> T:
        sandbox = Sandbox(workers=workers)
        try:
            return await use(sandbox)
        finally:
            await sandbox.stop()

    return asyncio.run(go())


def run(source: str, *inputs: str, together: bool = False, **limits: Any) -> Execution:
    async def use(sandbox: Sandbox) -> Execution:
        given = [text.encode() for text in inputs or ("",)]
        program = Program(source.encode(), inputs=given, limits=RunLimits(**limits))
        async with sandbox.session(program) as session:
            return await session.run(range(len(given)) if together else [0])

    return with_sandbox(use)


def test_tests_run_together_each_see_their_own_input() -> None:
    execution = run("print(input()[::-1])", "abc", "", "xyz", together=True)
    assert execution.verdict == "runtime_error"
    assert execution.outputs == [b"cba\n"]
    execution = run("print(open(0).read()[::-1])", "abc", "", "xyz", together=True)
    assert execution.verdict == "ok"
    assert execution.outputs == [b"cba\n", b"\n", b"zyx\n"]


def test_what_failed_says_why_on_standard_error_without_frames_of_ours() -> None:
    execution = run("def f():\n    return 1 / 0\nf()")
    assert execution.verdict == "runtime_error"
    assert "ZeroDivisionError" in execution.stderr
    assert "runner" not in execution.stderr


def test_time_is_processor_time() -> None:
    execution = run("while True: pass", cpu_s=0.3)
    assert execution.verdict == "time_limit"
    assert execution.cpu_ms >= 300


def test_a_sleeper_is_late_though_it_uses_no_processor() -> None:
    execution = run("import time; time.sleep(60)", cpu_s=0.1)
    assert execution.verdict == "time_limit"
    assert execution.cpu_ms < 100


def test_one_megabyte_of_output_is_fine() -> None:
    execution = run("print('x' * (1 << 20))")
    assert execution.verdict == "ok"
    assert len(execution.outputs[0]) == (1 << 20) + 1


def test_what_a_program_wrote_before_it_failed_is_kept_apart() -> None:
    execution = run(
        "print(input(), flush=True)\nif input() == 'b': exit(3)", "1\na", "2\nb", together=True
    )
    assert execution.outputs == [b"1\n"]
    assert execution.rest == b"2\n"


def test_programs_see_no_environment_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    execution = run("import os, json; print(json.dumps(dict(os.environ)))")
    assert set(json.loads(execution.outputs[0])) <= {*pool.ENVIRONMENT, "LC_CTYPE"}


def test_the_same_program_iterates_its_sets_in_the_same_order() -> None:
    source = "print(list({'alpha', 'beta', 'gamma', 'delta'}), hash('x'))"
    assert run(source).outputs == run(source).outputs


def test_the_probe_finds_every_layer_in_force() -> None:
    async def probed(sandbox: Sandbox) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return await probe(sandbox), sandbox.layers

    faults, layers = with_sandbox(probed)
    assert faults == ()
    assert {"no_new_privs", "rlimits", "landlock", "seccomp"} <= set(layers)


def test_a_slots_group_goes_with_its_zygote() -> None:
    async def use(sandbox: Sandbox) -> list[str]:
        await probe(sandbox)
        if "cgroup" not in sandbox.layers:
            pytest.skip("no cgroup of version 2 is left to us")
        return groups()

    assert with_sandbox(use) != []
    assert groups() == []


def groups() -> list[str]:
    return [str(path) for path in Path(cgroup.MOUNT).rglob(f"assay-{os.getpid()}-*")]


PROBE = """
import asyncio, json
from verifiers.sandbox.pool import Program, RunLimits, Sandbox
from verifiers.sandbox.probe import probe
PROGRAMS = ["print(1)", "1 / 0", "while True: pass", "print('x' * 10**7)", "import os; os.fork()",
            "import numpy; print(numpy.arange(3))", "x = bytearray(10**12)", "open('/etc/passwd')"]
async def go():
    sandbox = Sandbox()
    faults = await probe(sandbox)
    verdicts = []
    for source in PROGRAMS:
        program = Program(source.encode(), inputs=[b""], limits=RunLimits(cpu_s=0.5))
        async with sandbox.session(program) as session:
            verdicts.append((await session.run([0])).verdict)
    await sandbox.stop()
    print(json.dumps([faults, verdicts]))
asyncio.run(go())
"""


def elsewhere(place: str) -> tuple[list[str], list[str]]:
    """Faults and verdicts as another machine would have them: see `elsewhere.py`."""
    wrapper = Path(__file__).with_name("elsewhere.py")
    paths = [str(pool.ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    reply = subprocess.run(
        [sys.executable, str(wrapper), place, sys.executable, "-c", PROBE],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ":".join(paths), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    if "Permission denied" in reply.stderr and place.endswith("user"):
        pytest.skip("other users cannot run this interpreter")
    assert reply.returncode == 0, reply.stderr
    faults, verdicts = json.loads(reply.stdout)
    return faults, verdicts


def test_a_kernel_without_landlock_is_a_fault() -> None:
    faults, _ = elsewhere("old-kernel")
    assert "landlock is missing" in faults
    assert "a program can read a file of the system" in faults


@pytest.mark.parametrize("place", ["user", "container", "container-user"])
def test_verdicts_are_the_same_elsewhere(place: str) -> None:
    if place.endswith("user") and os.geteuid() != 0:
        pytest.skip("only root can become another user")
    faults, verdicts = elsewhere(place)
    assert faults == []
    assert verdicts == elsewhere("here")[1]


def test_a_canary_that_flies_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every layer says it is there; one of them has no effect."""
    idle = "from verifiers.sandbox import landlock; landlock.restrict_self = lambda _: None\n"
    monkeypatch.setattr(pool, "START", pool.START.replace("zygote.main", f"{idle}zygote.main"))
    assert "a program can read a file of the system" in with_sandbox(probe)


def test_a_layer_that_cannot_be_put_on_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = (
        "from verifiers.sandbox import landlock\n"
        "def refuse(_): raise OSError(1, 'no')\n"
        "landlock.restrict_self = refuse\n"
    )
    monkeypatch.setattr(pool, "START", pool.START.replace("zygote.main", f"{broken}zygote.main"))
    with pytest.raises(SandboxError):
        run("print(1)")


def test_a_supervisor_that_dies_is_no_verdict_and_is_replaced() -> None:
    async def sleep(sandbox: Sandbox) -> None:
        program = Program(b"import time; time.sleep(60)", inputs=[b""])
        async with sandbox.session(program) as session:
            await session.run([0])

    async def use(sandbox: Sandbox) -> Execution:
        sleeping = asyncio.create_task(sleep(sandbox))
        supervisor = await asyncio.to_thread(supervisor_of, sandbox)
        os.kill(supervisor, signal.SIGKILL)
        with pytest.raises(SandboxError):
            await sleeping
        async with sandbox.session(Program(b"print(1)", inputs=[b""])) as session:
            return await session.run([0])

    assert with_sandbox(use).outputs == [b"1\n"]


def test_a_zygote_that_died_while_idle_is_replaced() -> None:
    async def use(sandbox: Sandbox) -> Execution:
        program = Program(b"print(1)", inputs=[b""])
        async with sandbox.session(program) as session:
            await session.run([0])
        [zygote] = sandbox.pids()
        os.kill(zygote, signal.SIGKILL)
        assert await asyncio.to_thread(eventually_gone, zygote)
        await asyncio.sleep(0.1)
        async with sandbox.session(program) as session:
            return await session.run([0])

    assert with_sandbox(use).outputs == [b"1\n"]


def test_a_candidate_that_sleeps_is_late_and_so_are_its_tests() -> None:
    async def use(sandbox: Sandbox) -> dict[str, Any]:
        limits = RunLimits(cpu_s=0.1)
        program = Program(b"import time\ndef f(): time.sleep(60)", driven=True, limits=limits)
        async with sandbox.session(program) as session:
            return (await session.drive(b"assert f()", {"f": "f"}, stop_early=True))[0]

    assert with_sandbox(use)["candidate"] == "time_limit"


def supervisor_of(sandbox: Sandbox) -> int:
    """The process that the only zygote has forked, once there is one."""
    while not (sandbox.pids() and children(sandbox.pids()[0])):
        time.sleep(0.01)
    return children(sandbox.pids()[0])[0]


def test_leaving_a_session_ends_its_program() -> None:
    async def use(sandbox: Sandbox) -> list[int]:
        program = Program(b"import time; time.sleep(60)", inputs=[b""])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5), sandbox.session(program) as session:
                await session.run([0])
        return sandbox.pids()

    before = children(os.getpid())
    assert with_sandbox(use) == []
    assert children(os.getpid()) == before


def test_a_service_that_is_killed_takes_its_programs_with_it() -> None:
    code = (
        "import asyncio\nfrom verifiers.sandbox.pool import *\n"
        "async def go():\n"
        "    sandbox = Sandbox()\n"
        "    program = Program(b'import time; time.sleep(600)', inputs=[b''])\n"
        "    async with sandbox.session(program) as session:\n"
        "        print(sandbox.pids()[0], flush=True)\n"
        "        await session.run([0])\n"
        "asyncio.run(go())"
    )
    service = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    zygote = int(service.stdout.readline())
    service.kill()
    service.communicate()
    assert eventually_gone(zygote)


def eventually_gone(pid: int) -> bool:
    """Not there, or a zombie that its parent has not noticed yet."""
    status = Path(f"/proc/{pid}/status")
    for _ in range(500):
        try:
            if "State:\tZ" in status.read_text():
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_no_more_programs_run_at_a_time_than_there_are_workers() -> None:
    async def use(sandbox: Sandbox) -> int:
        program = Program(b"print(1)", inputs=[b""])

        async def one() -> int:
            async with sandbox.session(program) as session:
                await session.run([0])
                return len(sandbox.pids())

        return max(await asyncio.gather(*(one() for _ in range(12))))

    assert with_sandbox(use, workers=2) == 2


def test_services_on_one_machine_take_no_processes_from_each_others_programs() -> None:
    """The kernel counts them by user, whoever started them."""
    language = LANGUAGES["bash"]
    if (missing := language.missing()) is not None:
        pytest.skip(missing)
    source = b"for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1 & done\nwait"

    async def one() -> Execution:
        sandbox = Sandbox()
        try:
            async with sandbox.session(Program(source, inputs=[b""], language=language)) as session:
                return await session.run([0])
        finally:
            await sandbox.stop()

    async def both() -> list[Execution]:
        return await asyncio.gather(one(), one())

    assert [execution.stderr for execution in asyncio.run(both())] == ["", ""]
