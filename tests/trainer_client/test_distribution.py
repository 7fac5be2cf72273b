"""The client's own distribution: what is in its wheel, and what importing it loads."""

from __future__ import annotations

import email.parser
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import trainer_client

pytestmark = pytest.mark.slow

SOURCE = Path(trainer_client.__file__).parent

FOREIGN = {
    "torch", "transformers", "numpy", "pydantic", "fastapi", "starlette", "uvicorn",
    "app", "verifiers", "judges",
}  # fmt: skip
"""What a trainer that only wants rewards must not have to install."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    """Built without a network, from a copy, for builds leave files behind that later ones pack."""
    folder = tmp_path_factory.mktemp("wheel")
    leftovers = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    shutil.copytree(SOURCE, folder / "trainer_client", ignore=leftovers)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--no-index", "--wheel-dir", str(folder), str(folder / "trainer_client")],
        check=True,
    )  # fmt: skip
    [built] = folder.glob("*.whl")
    return zipfile.Path(built)


def test_the_wheel_holds_the_whole_of_trainer_client_and_nothing_else(wheel: zipfile.Path) -> None:
    names = {name for name in wheel.root.namelist() if ".dist-info/" not in name}
    paths = [path.relative_to(SOURCE) for path in SOURCE.rglob("*.py")]
    modules = {f"trainer_client/{path}" for path in paths if path.parts[0] != "build"}
    assert {name.split("/")[0] for name in names} == {"trainer_client"}
    assert "trainer_client/py.typed" in names
    assert modules <= names
    top_level = next(entry for entry in wheel.iterdir() if entry.name.endswith(".dist-info"))
    assert (top_level / "top_level.txt").read_text().split() == ["trainer_client"]


def test_httpx_is_all_that_the_client_depends_on(wheel: zipfile.Path) -> None:
    info = next(entry for entry in wheel.iterdir() if entry.name.endswith(".dist-info"))
    metadata = email.parser.Parser().parsestr((info / "METADATA").read_text())
    always = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert [line.split(">")[0] for line in always] == ["httpx"]


def test_importing_the_client_loads_httpx_and_neither_torch_nor_the_server(
    wheel: zipfile.Path, tmp_path: Path
) -> None:
    wheel.root.extractall(tmp_path)
    program = f"""
import json, sys
sys.path.insert(0, {str(tmp_path)!r})
import trainer_client
roots = sorted({{name.partition(".")[0] for name in sys.modules}})
print(json.dumps([trainer_client.__file__, roots]))
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    file, roots = json.loads(ran.stdout)
    assert Path(file).is_relative_to(tmp_path)
    assert "httpx" in roots
    assert not FOREIGN & set(roots)
