"""Runs a Python program inside a confined process. Everything here may be tampered with.

From the first line of the program on, this module shares its interpreter with it, and must
be taken to do whatever the program wants. Nothing is decided here: what is written is
judged outside, and the worst that a program can forge is its own failure.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import struct
import sys
from _sitebuiltins import Quitter
from collections.abc import Callable, Sequence
from types import CodeType, ModuleType, TracebackType
from typing import Any, Literal, TextIO

from verifiers.sandbox import codec, kernel

FILE_NAME = "main.py"

EXIT_ERROR = 1
EXIT_MEMORY = 121
EXIT_COMPILE = 122
"""Exit statuses that name a failure. A program may forge them: one failure for another."""

END = struct.Struct("=Q")
"""Where a test's output ends, in the file that says how far a run came."""


def run_tests(source: bytes, inputs: Sequence[int], output: int, progress: int) -> int:
    """Runs the program once for each input, as a process of its own would be run.

    `inputs` are descriptors that become standard input, `output` becomes standard output.
    After each test, the offset where its output ends is written to `progress`.

    Returns:
        The exit status: 0, or that of the first test that failed, after which none is run.
        Neither is any after a test that closed the descriptors which others need.
    """
    code = compiled(source)
    if code is None:
        return EXIT_COMPILE
    with contextlib.suppress(OSError):
        for index, descriptor in enumerate(inputs):
            os.dup2(descriptor, 0)
            os.dup2(output, 1)
            streams = open_streams()
            status = status_of(lambda: exec(code, fresh_main()))
            status = finish(streams) or status
            if status:
                return status
            os.pwrite(progress, END.pack(os.lseek(output, 0, os.SEEK_CUR)), index * END.size)
    return 0


Load = Callable[[], tuple[int, dict[str, Any]]]
"""Runs the program's top level. Returns the exit status and the program's names."""


def run_calls(
    load: Load, entry_point: str, inputs: Sequence[int], results: int, progress: int
) -> int:
    """Loads the program and calls its `entry_point` once for each input.

    An input holds the encoded pair (args, kwargs), of any size; the encoded result goes to
    `results`. What the program prints is nobody's.
    """
    status, namespace = load()
    if status:
        return status
    for index, descriptor in enumerate(inputs):

        def call(descriptor: int = descriptor) -> None:
            args, kwargs = codec.decode(read_all(descriptor), max_bytes=None)
            result = resolve(namespace, entry_point)(*args, **kwargs)
            write_all(results, codec.encode(result, as_base=True))

        status = status_of(call)
        if status:
            return status
        os.pwrite(progress, END.pack(os.lseek(results, 0, os.SEEK_CUR)), index * END.size)
    return 0


def load(*sources: bytes) -> tuple[int, dict[str, Any]]:
    """Runs the top level of `sources` in one namespace, as an import would.

    Returns:
        The exit status, and the names that are defined then.
    """
    open_streams()
    namespace = fresh_main()
    namespace["__name__"] = "solution"
    sys.modules["solution"] = sys.modules["__main__"]
    for source in sources:
        code = compiled(source)
        if code is None:
            return EXIT_COMPILE, {}
        status = status_of(lambda code=code: exec(code, namespace))  # type: ignore[misc]
        if status:
            return status, {}
    return 0, namespace


def resolve(namespace: dict[str, Any], name: str) -> Callable[..., Any]:
    """The function to call: `name`, or the method `name` of a class `Solution`."""
    if name in namespace:
        return namespace[name]  # type: ignore[no-any-return]
    solution = namespace.get("Solution")
    if solution is not None and hasattr(solution, name):
        return getattr(solution(), name)  # type: ignore[no-any-return]
    raise NameError(f"the program defines no {name}")


def compiled(source: bytes) -> CodeType | None:
    """The program's code; None, with the reason on standard error, where it has none."""
    try:
        return compile(source, FILE_NAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode(errors="replace"))
        return None


def fresh_main() -> dict[str, Any]:
    """The namespace of a new `__main__`, in place of the one before."""
    module = ModuleType("__main__")
    sys.modules["__main__"] = module
    module.__dict__.update(__builtins__=builtins, __file__=FILE_NAME)
    return module.__dict__


def open_streams() -> tuple[TextIO, TextIO]:
    """Standard streams anew: nothing buffered by an earlier test is left in them."""
    vars(sys).update(stdin=stream(0, "r"), stdout=stream(1, "w"), stderr=stream(2, "w"))
    vars(sys).update(__stdin__=sys.stdin, __stdout__=sys.stdout, __stderr__=sys.stderr)
    return sys.stdout, sys.stderr


def stream(descriptor: int, mode: Literal["r", "w"]) -> TextIO:
    """One standard stream, as the interpreter opens it in UTF-8 mode."""
    errors, buffering = ("backslashreplace", 1) if descriptor == 2 else ("surrogateescape", -1)
    return open(descriptor, mode, buffering, encoding="utf-8", errors=errors, closefd=False)


def prepare() -> None:
    """What `site` and the command line give to an ordinary program, and no names of ours.

    Done by the zygote, once and last: from then on it imports nothing of this package.
    """
    sys.argv = [FILE_NAME]
    vars(builtins).update(exit=Quitter("exit", "Ctrl-D"), quit=Quitter("quit", "Ctrl-D"))
    for name in [name for name in sys.modules if name.startswith("verifiers")]:
        del sys.modules[name]


def status_of(run: Callable[[], object]) -> int:
    """The exit status of an interpreter that does `run`."""
    try:
        run()
    except SystemExit as stop:
        return exit_status(stop.code)
    except MemoryError:
        return EXIT_MEMORY
    except BaseException as error:
        trace = from_program(error.__traceback__)
        sys.excepthook(type(error), BaseException.with_traceback(error, trace), trace)
        return EXIT_ERROR
    return 0


def from_program(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of ours that it begins with."""
    while trace is not None and trace.tb_frame.f_code.co_filename != FILE_NAME:
        trace = trace.tb_next
    return trace


def exit_status(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return EXIT_ERROR


def finish(streams: tuple[TextIO, TextIO]) -> int:
    """What an interpreter does at its end: threads, exit functions, flushes, finalisers."""
    return status_of(lambda: _finish(streams))


def _finish(streams: tuple[TextIO, TextIO]) -> None:
    join_threads()
    atexit = sys.modules.get("atexit")
    if atexit is not None:
        atexit._run_exitfuncs()
        atexit._clear()
    flush(sys.stdout, sys.stderr)  # perhaps the program's own
    sys.modules["__main__"].__dict__.clear()
    with contextlib.suppress(ValueError):  # detached: its buffer is another stream's by now
        flush(*streams)
    kernel.libc.fflush(None)  # what C functions printed, called through ctypes


def join_threads() -> None:
    """Waits for what is no daemon. The idle threads of an executor are told to end, as they are
    when an interpreter ends; then no later test in this process can have executors."""
    threading = sys.modules.get("threading")
    if threading is None:
        return
    main = threading.main_thread()
    while threads := [t for t in threading.enumerate() if t is not main and not t.daemon]:
        for callback in reversed(threading._threading_atexits):
            callback()
        for thread in threads:
            thread.join()


def flush(*streams: TextIO | None) -> None:
    for stream in streams:
        if stream is not None and not stream.closed:
            stream.flush()


def read_all(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
