"""Test code and the program that it tests, each in a confined process of its own.

    D, the driver: test code  ── call, encoded args ──>  C, the candidate: the program
                              <── encoded result ──────

In D every name that the test code leaves undefined is a stub which calls C. So exit codes,
lying objects, frames, the garbage collector and patched modules of C reach no expected
value and no verdict: all that comes back is a plain value or the name of an exception.
"""

from __future__ import annotations

import ast
import builtins
import os
import struct
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from verifiers.sandbox import channel, codec, runner

LENGTH = struct.Struct("=I")

RETURNED, RAISED, MISSING, CALLABLE = "returned", "raised", "missing", "callable"
RETURNED_ARGUMENT = "returned argument"

MUTABLE: tuple[type, ...] = (list, dict, set, bytearray, deque, codec.Taken)
"""Arguments of these types are seen changed by the caller, as in one process."""

MAX_MESSAGE = 500

UNSAFE_TO_RAISE = (StopIteration, StopAsyncIteration, GeneratorExit)
"""Inside `all(map(...))` these would end the test instead of failing it."""


class CandidateGone(BaseException):
    """The candidate's process ended. No test code may catch that by `except Exception`."""


class CandidateError(RuntimeError):
    """The candidate raised something that has no counterpart among the built-in errors."""


class Unsplittable(BaseException):
    """The test code passes something that cannot leave its process."""


# --- C: answers calls -------------------------------------------------------------------


def serve_calls(load: runner.Load, requests: int, replies: int) -> int:
    """Loads the program and answers calls of its functions until there are no more."""
    status, namespace = load()
    if status:
        return status
    while (request := read_frame(requests)) is not None:
        write_frame(replies, answer(namespace, request))
    return 0


def answer(namespace: dict[str, Any], request: bytes) -> bytes:
    own = partial(runner.resolve, namespace)
    try:
        name, args, kwargs = codec.decode(request, function=own)
        if args is None:
            return look_up(namespace, name)
        function = own(name)
    except NameError:
        return codec.encode((MISSING, None, None))
    given = arguments(args, kwargs)
    before = {key: content(value) for key, value in given.items() if type(value) in MUTABLE}
    try:
        result = function(*args, **kwargs)
        changed = [(key, given[key]) for key in before if content(given[key]) != before[key]]
        for key in before:
            if given[key] is result:
                return outgoing((RETURNED_ARGUMENT, key, changed))
        return outgoing((RETURNED, result, changed))
    except Exception as error:
        return raised(error)


def content(value: Any) -> bytes | None:
    """What an argument holds; None where it holds functions, whose changes nobody sees."""
    try:
        return outgoing(value)
    except codec.CannotLeave:
        return None


def arguments(args: Sequence[Any], kwargs: dict[Any, Any]) -> dict[int | str, Any]:
    """The arguments of a call by position or name."""
    return {**dict(enumerate(args)), **kwargs}


def raised(error: Exception) -> bytes:
    """An exception as it leaves: its arguments, where these are short and plain."""
    name = builtin_name(error)
    try:
        return codec.encode((RAISED, name, tuple(error.args)), max_bytes=MAX_MESSAGE)
    except Exception:
        return outgoing((RAISED, name, (str(error)[:MAX_MESSAGE],)))


def look_up(namespace: dict[str, Any], name: str) -> bytes:
    """The value of a name, where it has one that can leave."""
    try:
        value = runner.resolve(namespace, name)
        return outgoing((CALLABLE, None, None) if callable(value) else (RETURNED, value, []))
    except Exception:
        return codec.encode((MISSING, None, None))


outgoing = partial(codec.encode, as_base=True)


def builtin_name(error: Exception) -> str:
    """The nearest built-in class of `error`."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins")


# --- D: runs the tests ------------------------------------------------------------------


class Stub(codec.Named):
    """A function of the candidate, as the test code sees it. Passed to one, it is itself."""

    def __init__(self, name: str, requests: int, replies: int) -> None:
        super().__init__(name)
        self._requests = requests
        self._replies = replies

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            request = codec.encode((self.__name__, args, kwargs))
        except codec.CannotLeave as error:
            raise Unsplittable(str(error)) from None
        kind, value, more = self._ask(request)
        if kind == MISSING:
            raise NameError(f"the program defines no {self.__name__}")
        if kind == RAISED:
            raise rebuilt(value, more)
        given = arguments(args, kwargs)
        for key, content in more:
            replace_content(given[key], content)
        return given[value] if kind == RETURNED_ARGUMENT else value

    def _ask(self, request: bytes) -> Any:
        try:
            write_frame(self._requests, request)
            reply = read_frame(self._replies)
        except OSError:
            reply = None
        if reply is None:
            raise CandidateGone
        return codec.decode(reply)

    def current(self) -> Any:
        """The value that the name has now; this stub, where that is a function.

        Raises:
            NameError: it has none that can leave the program.
        """
        kind, value, _ = self._ask(codec.encode((self.__name__, None, None)))
        if kind == MISSING:
            raise NameError(f"the program defines no {self.__name__}")
        return value if kind == RETURNED else self


def rebuilt(name: object, args: Sequence[Any]) -> Exception:
    """An exception of a built-in class; the candidate's own classes do not exist here."""
    kind = getattr(builtins, str(name), None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        if issubclass(kind, UNSAFE_TO_RAISE):
            return CandidateError(name, *args)
        try:
            error = kind(*args)
        except TypeError:  # some want more arguments
            return CandidateError(name, *args)
        error.from_candidate = True  # type: ignore[attr-defined]
        return error
    return CandidateError(name, *args)


def replace_content(target: Any, content: Any) -> None:
    """Makes `target` equal to `content`, in place."""
    if type(target) is not type(content) or type(target) not in MUTABLE:
        raise codec.CodecError("an argument changed its type")
    if isinstance(target, codec.Taken):
        target.is_whole, target.items = content.is_whole, content.items
        return
    target.clear()
    if isinstance(target, list | bytearray | deque):
        target.extend(content)
    else:
        target.update(content)


def run_test_code(
    test_code: bytes,
    stubs: dict[str, str],
    values: Sequence[str],
    pipes: tuple[int, int],
    stop_early: bool,
) -> dict[str, Any]:
    """Runs the top-level statements in order, imports before all else; see `is_test`.

    `stubs` maps names in the test code to functions of the candidate. Those of `values` may
    have another value instead, which is looked up anew before each statement.

    Returns:
        `passed`, `total`, the `verdict` of the first failure or "ok", and its `message`.
    """
    statements = sorted(ast.parse(test_code).body, key=lambda s: not is_import(s))
    tests = [is_test(s) for s in statements]
    report: dict[str, Any] = {"passed": 0, "total": sum(tests), "verdict": "ok", "message": ""}
    namespace = runner.fresh_main()
    functions = {name: Stub(target, *pipes) for name, target in stubs.items()}
    namespace.update(functions)

    def look_up_values() -> None:
        for name in values:
            try:
                namespace[name] = functions[name].current()
            except NameError:
                if not hasattr(builtins, name):  # which must not stand in for the program's
                    namespace.pop(name, None)

    for statement, tests_something in zip(statements, tests, strict=True):
        code = compile(ast.Module([statement], []), "tests.py", "exec")
        imports = is_import(statement)
        failure = None if imports else failure_of(look_up_values)
        failure = failure or failure_of(lambda code=code: exec(code, namespace))  # type: ignore[misc]
        if imports and failure is not None:
            failure = "unsplittable", failure[1]  # what is not here is not the program's fault
        if failure is None:
            report["passed"] += tests_something
            continue
        if report["verdict"] == "ok":
            report["verdict"], report["message"] = failure
        if stop_early or not tests_something or failure[0] in FINAL:
            break
    return report


FINAL = ("unsplittable", "gone")
"""After these no further test can say anything."""


def failure_of(run: Callable[[], object]) -> tuple[str, str] | None:
    """Why a statement of the test code failed, as (verdict, message); None if it did not."""
    try:
        run()
    except Unsplittable as error:
        return "unsplittable", str(error)[:MAX_MESSAGE]
    except CandidateGone:
        return "gone", ""
    except AssertionError as error:
        return "wrong_answer", str(error)[:MAX_MESSAGE]
    except BaseException as error:
        crashed = isinstance(error, NameError | CandidateError) or hasattr(error, "from_candidate")
        message = f"{type(error).__name__}: {error}"[:MAX_MESSAGE]
        return "runtime_error" if crashed else "wrong_answer", message
    return None


def is_import(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Import | ast.ImportFrom)


def is_test(statement: ast.stmt) -> bool:
    """An `assert` or a bare call, or a loop, a condition and the like with an `assert` in it."""
    if isinstance(statement, ast.Assert) or is_call(statement):
        return True
    if isinstance(statement, ast.If) and any(map(is_call, statement.body)):
        return True  # `if __name__ == "__main__"`
    return isinstance(statement, COMPOUND) and any(
        isinstance(node, ast.Assert) for node in ast.walk(statement)
    )


COMPOUND = (ast.For, ast.While, ast.If, ast.With, ast.Try)


def is_call(statement: ast.stmt) -> bool:
    """A statement that is nothing but a call."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)


# --- between them -----------------------------------------------------------------------


def write_frame(descriptor: int, data: bytes) -> None:
    channel.write_all(descriptor, LENGTH.pack(len(data)) + data)


def read_frame(descriptor: int) -> bytes | None:
    """The next frame; None where the other end has closed its pipe."""
    try:
        (length,) = LENGTH.unpack(channel.read_exactly(descriptor, LENGTH.size))
        if length > codec.MAX_BYTES:
            raise codec.CodecError("the value is too large")
        return channel.read_exactly(descriptor, length)
    except channel.Closed:
        return None


def pipes() -> Sequence[int]:
    """(requests to read, requests to write, replies to read, replies to write)"""
    return (*os.pipe(), *os.pipe())
