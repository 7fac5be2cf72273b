"""Checkpoints are whole or absent, and what a run wrote after one can be forgotten."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from tests.trainer_client.train.tiny import tiny_policy
from trainer_client.train import checkpoint
from trainer_client.train.optimizer import adamw, take_step
from trainer_client.train.policy import Policy, load
from trainer_client.train.run_folder import RunFolder, append, read_rows


def trained_a_little() -> tuple[Policy, torch.optim.AdamW]:
    policy = Policy(copy.deepcopy(tiny_policy().model), tiny_policy().tokenizer)
    optimizer = adamw(policy.model.parameters())
    step(policy, optimizer)
    return policy, optimizer


def step(policy: Policy, optimizer: torch.optim.Optimizer) -> None:
    policy.model(torch.tensor([[5, 6, 7]])).logits.sum().backward()
    take_step([optimizer], 1e-3, 1.0)


def weights(policy: Policy) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in policy.model.parameters()])


def test_training_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    policy, optimizer = trained_a_little()
    checkpoint.save(tmp_path, 1, policy, optimizer, keep=2)
    step(policy, optimizer)
    [saved] = checkpoint.all_of(tmp_path)
    state = checkpoint.load_state(saved)
    again = load(saved)
    optimizer_again = adamw(again.model.parameters())
    optimizer_again.load_state_dict(state.optimizer)
    step(again, optimizer_again)
    assert torch.equal(weights(again), weights(policy))
    assert (state.step, state.threads) == (1, torch.get_num_threads())


def test_only_the_latest_are_kept(tmp_path: Path) -> None:
    policy, optimizer = trained_a_little()
    for number in (1, 2, 10, 3):
        checkpoint.save(tmp_path, number, policy, optimizer, keep=2)
    left = sorted(folder.name for folder in tmp_path.iterdir())
    assert left == ["step-000003", "step-000010"]


def test_a_checkpoint_that_was_not_finished_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, optimizer = trained_a_little()
    checkpoint.save(tmp_path, 1, policy, optimizer, keep=2)

    def full_disk(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", full_disk)
        with pytest.raises(OSError, match="no space"):
            checkpoint.save(tmp_path, 2, policy, optimizer, keep=2)
    assert [folder.name for folder in checkpoint.all_of(tmp_path)] == ["step-000001"]
    checkpoint.save(tmp_path, 2, policy, optimizer, keep=2)
    assert checkpoint.load_state(tmp_path / "step-000002").step == 2


def test_what_was_written_after_a_checkpoint_is_forgotten_whole_or_in_part(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for number in range(5):
        append(folder.metrics, [{"step": number}])
        append(folder.samples, [{"step": number, "completion": "é"}] * 2)
        append(folder.evaluations, [{"step": number, "split": "held_out"}])
    with folder.metrics.open("a") as file:
        file.write('{"step": 5, "rewa')  # killed in the middle of a line
    folder.rewind(3)
    assert [row["step"] for row in read_rows(folder.metrics)] == [0, 1, 2, 3]
    assert [row["step"] for row in read_rows(folder.samples)] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [row["step"] for row in read_rows(folder.evaluations)] == [0, 1, 2]
    folder.close()


def test_a_run_that_wrote_nothing_yet_has_no_rows(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.rewind(0)
    assert read_rows(folder.metrics) == []
    folder.close()
