"""Scorers that learned their rule: the trained reward model and rubric judges."""
