"""The GRPO trainer: all of this distribution that needs torch."""
