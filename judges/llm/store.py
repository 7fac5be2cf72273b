"""The SQLite file of the judges: recorded replies, and what has been spent.

One thread works on it, so that a slow disk never holds the event loop. Jobs that wait together
share a transaction, in which each is kept or undone by itself: replies come in bursts, and to
wake the thread and to commit take longer than the jobs do. Several processes may share the
file: caps then hold for all of them together.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

Job = Callable[[sqlite3.Connection], Any]

Outcome = tuple[Any, Exception | None]
"""What a job returned, or why it did not."""

BUSY_TIMEOUT_S = 10.0
"""How long another process may hold the file."""

MAX_REPLIES = 1_000_000
"""Some gigabytes. The oldest beyond these are forgotten when the file is opened."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    key BLOB PRIMARY KEY, text TEXT NOT NULL, finish_reason TEXT NOT NULL,
    probabilities TEXT, nonce TEXT, recorded_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spending (
    judge TEXT, scope TEXT, name TEXT, calls INTEGER NOT NULL, tokens INTEGER NOT NULL,
    cost_nano INTEGER NOT NULL, PRIMARY KEY (judge, scope, name)
) WITHOUT ROWID;
"""


class Store:
    """A file that is opened at first use; in memory where there is no path."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="judge-store")
        self._connection: sqlite3.Connection | None = None
        self._waiting: list[tuple[Job, asyncio.Future[Any]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `job`, all of whose changes are kept, or none.

        It runs after those that came before it, and also where nobody waits for it any more.

        Raises:
            sqlite3.Error: the file cannot be read or written.
            Exception: whatever else `job` raises.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, done))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await done

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            taken, self._waiting = self._waiting, []
            jobs = [job for job, _ in taken]
            try:
                outcomes = await loop.run_in_executor(self._thread, self._outcomes, jobs)
            except Exception as failure:
                outcomes = [(None, failure)] * len(jobs)
            for (_, done), (result, error) in zip(taken, outcomes, strict=True):
                if done.cancelled():
                    continue
                if error is None:
                    done.set_result(result)
                else:
                    done.set_exception(error)
        self._worker = None

    def _outcomes(self, jobs: list[Job]) -> list[Outcome]:
        if self._connection is None:
            self._connection = opened(self._path)
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:  # commits, or rolls back
            return [outcome(self._connection, job) for job in jobs]

    async def close(self) -> None:
        if self._worker is not None:
            await self._worker
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def outcome(connection: sqlite3.Connection, job: Job) -> Outcome:
    """What `job` comes to, which leaves nothing behind where it fails."""
    connection.execute("SAVEPOINT job")
    try:
        result = job(connection)
    except Exception as error:
        connection.execute("ROLLBACK TO job")
        return None, error
    finally:
        connection.execute("RELEASE job")
    return result, None


def opened(path: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(path or ":memory:", timeout=BUSY_TIMEOUT_S, isolation_level=None)
    # A crash of the machine may lose the last moments, which are then spent twice at most
    # as far as the caps go; a crash of the process loses nothing.
    write_ahead(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.executescript(SCHEMA)
    forget_oldest(connection, MAX_REPLIES)
    return connection


def write_ahead(connection: sqlite3.Connection) -> None:
    """Journals by write-ahead logging.

    Where two open a new file at once, SQLite tells one of them at once that the file is
    locked: this one statement does not wait for the busy timeout.
    """
    until = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.01)


def forget_oldest(connection: sqlite3.Connection, kept: int) -> None:
    (count,) = connection.execute("SELECT count(*) FROM replies").fetchone()
    if count > kept:
        connection.execute(
            "DELETE FROM replies WHERE key IN"
            " (SELECT key FROM replies ORDER BY recorded_at LIMIT ?)",
            (count - kept,),
        )
