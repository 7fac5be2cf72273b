"""The judges' file is shared by processes, from its first moment on."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from judges.llm.store import opened

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
