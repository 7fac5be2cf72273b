"""What is checked about a model's folder before, and just after, its weights are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from judges.reward_model.model.card import HEADS

MEMORY_SHARE = 0.9
"""Of the free memory, what the weights may take: activations need the rest."""


class ModelRefused(ValueError):
    """The folder holds no usable reward model. The message says what to do about it."""


def check_files(folder: Path) -> None:
    """Refuses a folder without a configuration, weights or a tokenizer."""
    if not (folder / "config.json").is_file():
        raise ModelRefused(
            f"{folder} holds no config.json; pass a folder written by "
            "`assay reward-model train`, or by save_pretrained"
        )
    if not weight_files(folder):
        raise ModelRefused(
            f"{folder} holds no *.safetensors; if its weights are pickled (*.bin), convert "
            "them with save_pretrained, which writes safetensors"
        )
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json")):
        raise ModelRefused(
            f"{folder} holds no tokenizer; save the one that the model was trained with beside "
            "it: tokenizer.save_pretrained(folder)"
        )


def weight_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.safetensors") if path.name != HEADS)


def check_device(device: str) -> None:
    """Refuses a device that this machine, or this build of torch, does not have."""
    if device == "cpu":
        return
    if not torch.cuda.is_available():
        raise ModelRefused(
            f"there is no {device} here: torch {torch.__version__} finds no GPU that it can use; "
            'install a build with CUDA and a driver, or set device = "cpu"'
        )
    count = torch.cuda.device_count()
    if (torch.device(device).index or 0) >= count:
        raise ModelRefused(f"there is no {device} here: {count} GPU(s) are visible, from cuda:0 on")


def check_memory(folder: Path, device: str, dtype: torch.dtype) -> None:
    """Refuses weights that would not fit, before any of them is read.

    They come to a GPU by way of the machine's own memory.
    """
    need = parameter_count(folder) * dtype.itemsize
    for place in dict.fromkeys((device, "cpu")):
        free = free_bytes(place)
        if free is not None and need > free * MEMORY_SHARE:
            raise ModelRefused(
                f"the weights take {need / 2**30:.1f} GiB as {dtype} and {place} has "
                f"{free / 2**30:.1f} GiB free; load in bfloat16, free memory, or use a smaller "
                "model"
            )


def parameter_count(folder: Path) -> int:
    """From the headers of the weight files."""
    total = 0
    for path in weight_files(folder):
        try:
            with safe_open(path, "pt") as file:
                shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ModelRefused(f"{path.name} is damaged ({error}); copy it again") from None
        total += sum(torch.Size(shape).numel() for shape in shapes)
    return total


def free_bytes(device: str) -> int | None:
    """Memory that is free on the device; None where that cannot be told."""
    if device.startswith("cuda"):
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept  # kept for reuse by torch itself
    return min(_free_of_machine(), default=None)


def _free_of_machine() -> Iterator[int]:
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        words = dict(line.split(":") for line in meminfo.read_text().splitlines())
        yield int(words["MemAvailable"].split()[0]) * 1024
    limit, used = (Path("/sys/fs/cgroup") / f"memory.{name}" for name in ("max", "current"))
    if limit.exists() and (text := limit.read_text().strip()) != "max":
        yield max(int(text) - int(used.read_text()), 0)


def refuse_non_finite(module: nn.Module) -> None:
    for name, values in module.state_dict().items():
        if values.is_floating_point() and not bool(torch.isfinite(values).all()):
            raise ModelRefused(
                f"{name} holds NaN or infinity; training diverged: lower its learning rate, "
                "or go back to an earlier checkpoint"
            )
