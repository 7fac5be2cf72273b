"""The client's own distribution: its names, what is in its wheel, what importing it loads."""

from __future__ import annotations

import email.parser
import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import trainer_client
from trainer_client import async_client, client, errors, types

pytestmark = pytest.mark.slow

SOURCE = Path(trainer_client.__file__).parent

FOREIGN = {
    "torch", "transformers", "numpy", "pydantic", "fastapi", "starlette", "uvicorn",
    "typer", "rich", "matplotlib", "tensorboard", "tomli_w",
    "app", "verifiers", "judges",
}  # fmt: skip
"""What a trainer that only wants rewards must not have to install."""


def test_all_that_a_user_holds_or_catches_is_exported_at_the_top() -> None:
    """The clients, what they take and give, and what they raise."""
    public = {
        name
        for module in (client, async_client, types, errors)
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__ and name[0] != "_"
    }
    assert public == set(trainer_client.__all__)
    assert trainer_client.__all__ == sorted(trainer_client.__all__)


def test_every_package_is_listed_for_the_wheel() -> None:
    """The list is by hand: the folder is the package itself, which no search understands."""
    declared = tomllib.loads((SOURCE / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = [file.parent for file in SOURCE.rglob("__init__.py") if "build" not in file.parts]
    names = [".".join(("trainer_client", *f.relative_to(SOURCE).parts)) for f in folders]
    assert sorted(declared["packages"]) == sorted(names)


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


def test_the_client_and_its_adapters_import_where_there_is_httpx_alone(
    wheel: zipfile.Path, tmp_path: Path
) -> None:
    wheel.root.extractall(tmp_path)
    program = f"""
import importlib, json, pkgutil, sys
sys.path.insert(0, {str(tmp_path)!r})
sys.modules.update(dict.fromkeys({FOREIGN!r}))  # as if they were not installed
import trainer_client
from trainer_client import *
for module in pkgutil.walk_packages(trainer_client.__path__, "trainer_client."):
    if not module.name.startswith("trainer_client.train."):
        importlib.import_module(module.name)
loaded = sorted({{name.partition(".")[0] for name in sys.modules if sys.modules[name]}})
print(json.dumps([trainer_client.__file__, loaded]))
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    file, loaded = json.loads(ran.stdout)
    assert Path(file).is_relative_to(tmp_path)
    assert "httpx" in loaded
    assert not FOREIGN & set(loaded)
