"""The service as a process of its own: readiness, leaving clients, and its end."""

from __future__ import annotations

import concurrent.futures
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from tests.app.conftest import READY, eventually, reversal, score, served
from tests.processes import children, memory_bytes

pytestmark = pytest.mark.slow


def test_it_prints_its_address_once_it_is_ready() -> None:
    with served() as service, httpx.Client(base_url=service.url) as client:
        assert client.get("/readyz").json()["status"] == "ready"
        assert score(client, reversal("cba")).status_code == 200


def test_a_signal_ends_an_idle_service_cleanly() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with served() as service:
            service.process.send_signal(number)
            assert service.process.wait(timeout=20) == 0


def test_it_ends_with_its_standard_input_where_asked_to() -> None:
    command = [sys.executable, "-m", "app.cli", "serve", "--port", "0", "--until-stdin-closes"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline().startswith(READY)
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(timeout=20) == 0


def test_it_does_not_serve_strangers_without_keys() -> None:
    command = [sys.executable, "-m", "app.cli", "serve", "--port", "0", "--host", "0.0.0.0"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert "ASSAY_API_KEYS" in refused.stderr
    assert "--insecure" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_importing_the_service_loads_nothing_heavy() -> None:
    code = "import app.main, sys; print(*{'torch', 'sympy', 'ray', 'numpy'} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert loaded.stdout.strip() == ""
    assert loaded.returncode == 0, loaded.stderr


def test_many_clients_at_once_each_get_their_own_scores() -> None:
    with served() as service, httpx.Client(base_url=service.url) as client:

        def ask(number: int) -> bool:
            text = str(number)
            reply = score(client, reversal(text[::-1], text), reversal("no", text)).json()
            return [score["reward"] for score in reply["scores"]] == [1.0, 0.0]

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            assert all(pool.map(ask, range(200)))


def test_a_client_that_sends_half_a_request_harms_nobody() -> None:
    with served() as service, httpx.Client(base_url=service.url) as client:
        url = httpx.URL(service.url)
        with socket.create_connection((url.host, url.port)) as half:
            half.sendall(b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
            assert score(client, reversal("cba")).status_code == 200
        assert score(client, reversal("cba")).status_code == 200


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_idle_service_takes_at_most_120_mb() -> None:
    """Proportional set size of the service, its worker and its zygote, as /proc counts it."""
    with served(ASSAY_SANDBOX_WORKERS="1") as service:
        assert eventually(lambda: httpx.get(f"{service.url}/readyz").status_code == 200)
        assert len(children(service.process.pid)) == 2
        assert memory_bytes(service.process.pid) < 120_000_000
