"""The judges' file, shared by processes from its first moment on, and its jobs."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from judges.llm.store import Store, opened

OPENERS = 6


@pytest.mark.parametrize("attempt", range(30))
def test_a_new_file_that_many_open_at_once_is_opened_by_all(tmp_path: Path, attempt: int) -> None:
    together = threading.Barrier(OPENERS)

    def journal(_: int) -> str:
        together.wait()
        connection = opened(tmp_path / "judges.db")
        try:
            mode: str = connection.execute("PRAGMA journal_mode").fetchone()[0]
            return mode
        finally:
            connection.close()

    with ThreadPoolExecutor(OPENERS) as openers:
        assert list(openers.map(journal, range(OPENERS))) == ["wal"] * OPENERS


def spend(amount: int) -> Callable[[sqlite3.Connection], int]:
    def job(db: sqlite3.Connection) -> int:
        db.execute("INSERT INTO spending VALUES ('j', 'run', ?, 1, ?, 0)", (str(amount), amount))
        if amount % 3 == 2:
            raise ValueError(amount)
        return amount

    return job


def tokens(db: sqlite3.Connection) -> list[int]:
    return [row[0] for row in db.execute("SELECT tokens FROM spending ORDER BY tokens")]


def test_jobs_that_share_a_transaction_are_kept_or_undone_each_by_itself(tmp_path: Path) -> None:
    async def main() -> tuple[list[object], list[int]]:
        store = Store(tmp_path / "judges.db")
        jobs = [store.run(spend(amount)) for amount in range(9)]
        outcomes = await asyncio.gather(*jobs, return_exceptions=True)
        written = await store.run(tokens)
        await store.close()
        return list(outcomes), written

    outcomes, written = asyncio.run(main())
    kept = [0, 1, 3, 4, 6, 7]
    assert [outcome for outcome in outcomes if not isinstance(outcome, ValueError)] == kept
    assert [str(outcome) for outcome in outcomes] == [str(amount) for amount in range(9)]
    assert written == kept


def test_a_job_is_done_though_whoever_wanted_it_has_left_or_the_file_is_closed(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        store = Store(tmp_path / "judges.db")
        jobs = [asyncio.create_task(store.run(spend(amount))) for amount in (0, 1)]
        await asyncio.sleep(0)
        jobs[0].cancel()
        await store.close()
        assert await jobs[1] == 1
        with pytest.raises(RuntimeError):
            await store.run(tokens)

    asyncio.run(main())
    assert tokens(opened(tmp_path / "judges.db")) == [0, 1]


def test_a_file_that_cannot_be_opened_fails_every_job(tmp_path: Path) -> None:
    async def main() -> list[object]:
        store = Store(tmp_path / "missing" / "judges.db")
        outcomes = await asyncio.gather(
            store.run(tokens), store.run(tokens), return_exceptions=True
        )
        await store.close()
        return list(outcomes)

    assert [type(outcome) for outcome in asyncio.run(main())] == [sqlite3.OperationalError] * 2
