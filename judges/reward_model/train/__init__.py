"""From preference pairs to a reward model."""
