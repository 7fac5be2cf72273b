"""TRL's GRPOTrainer on rewards from the service: a tiny random policy, a few steps, one CPU.

It shows the wiring, not learning. One row has no reference, so its completions cannot be
scored; TRL sees None and leaves them out.

Start the service first: `assay serve`.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

from trainer_client.adapters.trl import AsyncReward

ROWS = [
    {"prompt": "reverse: ab", "answer": "ab"},
    {"prompt": "reverse: ba", "answer": "ba"},
    {"prompt": "reverse: b", "answer": None},
]
SHAPED = {
    "type": "weighted",
    "components": {
        "right": {"scorer": {"type": "string_reversal", "partial": "edit"}},
        "brief": {"scorer": {"type": "length", "max_length": 8, "buffer": 8}, "weight": 0.1},
    },
}
"""One scorer of two parts. TRL adds up several reward functions as if one that is missing were
0, so what belongs together is best weighed by the service.
"""


def tokenizer() -> PreTrainedTokenizerFast:
    """A token a character."""
    symbols = ["<pad>", "<eos>", "<unk>", *"abcdefghijklmnopqrstuvwxyz: "]
    vocabulary = {symbol: number for number, symbol in enumerate(symbols)}
    characters = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    characters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=characters, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
    )


def policy(words: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words),
            num_attention_heads=2,
            max_position_embeddings=64,
            pad_token_id=words.pad_token_id,
            eos_token_id=words.eos_token_id,
            **sizes,
        )
    )


def trainer(folder: str, reward: Any, steps: int = 4, **options: Any) -> GRPOTrainer:
    words = tokenizer()
    return GRPOTrainer(
        model=policy(words),
        processing_class=words,
        train_dataset=Dataset.from_list(ROWS * 4),
        reward_funcs=reward,
        args=GRPOConfig(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=12,
            num_generations=4,
            max_completion_length=8,
            learning_rate=1e-2,
            logging_steps=1,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            **options,
        ),
    )


def main() -> None:
    url = os.environ.get("ASSAY_URL", "http://127.0.0.1:8000")
    with tempfile.TemporaryDirectory() as folder:
        grpo = trainer(folder, AsyncReward(url, SHAPED))
        grpo.train()
    for step in grpo.state.log_history:
        if "reward" in step:
            mean, unscored = float(step["reward"]), step["assay/unscored"]
            print(f"step {step['step']}: reward {mean:.3f}, unscored {unscored:.0%}")


if __name__ == "__main__":
    main()
