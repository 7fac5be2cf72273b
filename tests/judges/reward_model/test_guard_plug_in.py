"""A new guard is a file and a line: proved in a copy of the tree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

SHOUTING = '''"""Answers in capitals."""

from judges.reward_model.guards.guard import TextGuard
from judges.reward_model.model.render import Prompt


class Shouting(TextGuard):
    """The share of characters that are capital letters."""

    name = "shouting"

    def measure(self, prompt: Prompt, completion: str) -> float:
        return sum(map(str.isupper, completion)) / max(len(completion), 1)
'''

LINE = {
    "from judges.reward_model.guards.short import Short\n": (
        "from judges.reward_model.guards.shouting import Shouting\n"
    ),
    "    Relevance,\n": "    Shouting,\n",
}
"""The line in `GUARDS`, and the import that it takes."""

TRIAL = """
import json, sys
from judges.reward_model.guards.fitting import fit_guards
from judges.reward_model.guards.guards import Guards
from judges.reward_model.serve.scorer import RewardModelParameters

natural = [(f"What is {n}?", f"It is {n} apples and {n * n} pears.") for n in range(150)]
card = fit_guards(natural, [(prompt, said.upper()) for prompt, said in natural[:20]])
loud = "IT IS 3 APPLES AND 9 PEARS."
schema = RewardModelParameters.model_json_schema()["properties"]["guards"]
RewardModelParameters.model_validate({"guards": {"shouting": "reject"}})
before = Guards.from_card(json.load(sys.stdin))
after = Guards.from_card(card)
print(json.dumps({
    "alarms": card["alarms"]["shouting"],
    "flags": after.flags(after.measure("What is 3?", loud)),
    "schema": schema["propertyNames"]["enum"],
    "known to a model that was fitted before": "shouting" in before.thresholds,
    "flagged by it": "shouting" in before.flags(before.measure("What is 3?", loud)),
}))
"""


def test_a_guard_is_a_file_and_a_line(tmp_path: Path) -> None:
    from judges.reward_model.guards.fitting import fit_guards
    from judges.reward_model.guards.guards import GUARDS

    for package in ("judges", "verifiers"):
        shutil.copytree(ROOT / package, tmp_path / package)
    guards = tmp_path / "judges" / "reward_model" / "guards"
    (guards / "shouting.py").write_text(SHOUTING)
    listed = (guards / "guards.py").read_text()
    for after, line in LINE.items():
        assert listed.count(after) == 1
        listed = listed.replace(after, after + line)
    (guards / "guards.py").write_text(listed)
    fitted_before = fit_guards([(f"Name {n}", f"It is called number {n}.") for n in range(150)])
    tried = subprocess.run(
        [sys.executable, "-c", TRIAL],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        input=json.dumps(fitted_before),
        capture_output=True,
        text=True,
        check=False,
    )
    assert tried.returncode == 0, tried.stderr
    assert json.loads(tried.stdout) == {
        "alarms": 0,
        "flags": ["shouting"],
        "schema": [*(guard.name for guard in GUARDS), "shouting"],
        "known to a model that was fitted before": False,
        "flagged by it": False,
    }
