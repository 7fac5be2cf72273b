"""Whom a busy machine makes late: nobody but those who sleep. See "Time" in the README."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.verifiers.sandbox.test_sandbox import run, with_sandbox
from verifiers.code_execution.judging import Policy, judge_outputs
from verifiers.sandbox import pool
from verifiers.sandbox.languages import LANGUAGES
from verifiers.sandbox.pool import Execution, Program, RunLimits, Sandbox, SandboxError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux only")

NEIGHBOURS = 15

COMPUTES = "import time\nwhile time.process_time() < 0.25: pass\nprint('done')"
IN_A_THREAD = f"""import threading
thread = threading.Thread(target=exec, args=({COMPUTES!r},))
thread.start()
thread.join()
"""
IN_MANY_PROCESSES = """for i in {1..50}; do
    perl -e 'for (1 .. 100000) {}'
done
echo done
"""
LIMITS = RunLimits(cpu_s=0.8)
"""2.8 s by the clock, in which none of the above gets what processor time it needs."""


@pytest.fixture
def busy_processor() -> Iterator[None]:
    """This process, and what it starts, share a processor with many that never sleep."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    # a session each, since where the kernel groups processes by session it shares by group
    command = ("sh", "-c", "while :; do :; done")
    neighbours = [subprocess.Popen(command, start_new_session=True) for _ in range(NEIGHBOURS)]
    try:
        yield
    finally:
        for neighbour in neighbours:
            neighbour.kill()
        for neighbour in neighbours:
            neighbour.wait()
        os.sched_setaffinity(0, before)


def run_in(language: str, source: str) -> Execution:
    async def use(sandbox: Sandbox) -> Execution:
        options = {"language": LANGUAGES[language], "limits": LIMITS}
        async with sandbox.session(Program(source.encode(), inputs=[b""], **options)) as session:
            return await session.run([0])

    return with_sandbox(use)


@pytest.mark.parametrize(
    ("language", "source"),
    [("python", COMPUTES), ("python", IN_A_THREAD), ("bash", IN_MANY_PROCESSES)],
    ids=["alone", "in-a-thread", "in-many-processes"],
)
@pytest.mark.usefixtures("busy_processor")
def test_who_waits_for_a_processor_is_not_late(language: str, source: str) -> None:
    if (missing := LANGUAGES[language].missing()) is not None:
        pytest.skip(missing)
    execution = run_in(language, source)
    assert (execution.verdict, execution.outputs) == ("ok", [b"done\n"]), execution
    assert execution.wall_ms > LIMITS.wall_s * 1e3, "the processor was not busy"


@pytest.mark.usefixtures("busy_processor")
def test_a_sleeper_is_late_on_a_busy_machine_too() -> None:
    execution = run("import time\nwhile True: time.sleep(0.5)", cpu_s=0.3)
    assert execution.verdict == "time_limit"
    assert execution.cpu_ms < 300


@pytest.mark.usefixtures("busy_processor")
def test_the_wait_for_a_processor_is_not_counted_over_all_tests() -> None:
    policy = Policy(stop_early=True, total_s=1.0, share_process=False)
    program = Program(COMPUTES.encode(), inputs=[b"", b"", b""], limits=LIMITS)
    report = with_sandbox(lambda sandbox: judge_outputs(sandbox, program, 3 * [bool], policy))
    assert report.verdicts == ["accepted", "accepted", "accepted"], report
    assert report.wall_ms > 3 * policy.total_s * 1e3, "the processor was not busy"


@pytest.mark.usefixtures("busy_processor")
def test_who_waits_for_too_long_is_our_error(monkeypatch: pytest.MonkeyPatch) -> None:
    hasty = "from verifiers.sandbox import supervisor; supervisor.PATIENCE = 0.5\n"
    monkeypatch.setattr(pool, "START", pool.START.replace("zygote.main", f"{hasty}zygote.main"))
    with pytest.raises(SandboxError, match="waited 1 seconds for a processor"):
        run("while True: pass", cpu_s=0.5)
