"""A reward model trained on preference pairs: its training, its report, and its serving."""
