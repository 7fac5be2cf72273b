"""`python -m benchmarks [NAME …]`: runs the named measurements, or all of them."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

ALL = (
    "service",
    "groups",
    "protocols",
    "learning",
    "math",
    "code",
    "reward_model_scratch",
    "reward_model_training",
    "reward_model_serving",
    "reward_model_guards",
    "over_optimisation",
    "over_optimised_runs",
    "judges",
    "rubric",
)
SLOW = ("code_soak",)
"""Only run when named."""
NEED_DATA = frozenset({"math", "reward_model_training", "reward_model_guards"})
"""Measured on public data sets that are not part of the project."""
TAKE_DATA = frozenset({"math", "code", "reward_model_training", "reward_model_guards", "rubric"})
"""With such data, these measure more."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", default=ALL, help=f"of {', '.join(ALL)}; all by default"
    )
    parser.add_argument("--data", type=Path, help="the folder of public data sets")
    options = parser.parse_args()
    for name in options.names:
        if name not in (*ALL, *SLOW):
            parser.error(f"there is no benchmark {name!r}; there are {', '.join(ALL)}")
        measure = importlib.import_module(f"benchmarks.{name}").main
        if name in NEED_DATA and options.data is None:
            print(f"{name}: left out, for want of --data FOLDER")
        elif name in TAKE_DATA:
            measure(options.data)
        else:
            measure()


if __name__ == "__main__":
    main()
