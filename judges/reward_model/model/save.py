"""Writes a reward model's folder."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import save_file

from judges.reward_model.model.card import CARD, DEEPER, HEADS, REPORT_JSON
from judges.reward_model.model.model import RewardModel, last_layer, linear, set_last_layer


def save(model: RewardModel, folder: Path) -> RewardModel:
    """Writes the folder. Returns the model with the digest of what was written.

    Files are replaced one by one when all are complete, the card last: a service that watches
    it finds a whole model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".unfinished-") as staging:
        _write(model, Path(staging))
        for path in sorted(Path(staging).iterdir(), key=lambda path: path.name == CARD):
            path.replace(folder / path.name)
    if model.deeper is None:
        (folder / DEEPER).unlink(missing_ok=True)  # of the model that was here before
    return replace(model, digest=digest_of(folder))


def _write(model: RewardModel, folder: Path) -> None:
    _, members = last_layer(model.network)
    weight, bias = members.weight.detach(), members.bias
    mean = linear(weight.mean(0, keepdim=True), None if bias is None else bias.mean(0, True))
    set_last_layer(model.network, mean)
    try:
        model.network.save_pretrained(folder)
    finally:
        set_last_layer(model.network, members)
    model.tokenizer.save_pretrained(folder)
    heads = {"weight": weight.contiguous(), "bias": weight.new_zeros(len(weight))}
    if bias is not None:
        heads["bias"] = bias.detach().contiguous()
    save_file(heads, folder / HEADS)
    if model.deeper is not None:
        save_file(model.deeper.state_dict(), folder / DEEPER)
    (folder / CARD).write_text(model.card.model_dump_json(indent=1) + "\n")


def digest_of(folder: Path) -> str:
    """The first 16 hexadecimal digits of a hash over every file that decides a score."""
    whole = hashlib.sha256()
    for path in sorted(folder.glob("*")):
        if path.name != REPORT_JSON and path.suffix in {
            ".json",
            ".safetensors",
            ".jinja",
            ".txt",
            ".model",
        }:
            with path.open("rb") as file:
                part = hashlib.file_digest(file, "sha256").hexdigest()
            whole.update(f"{path.name} {part}\n".encode())
    return whole.hexdigest()[:16]
