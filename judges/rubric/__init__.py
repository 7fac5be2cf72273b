"""Rubric judges: weighted criteria, decided by programs and LLM judges."""

from judges.rubric.rubric import Rubric, RubricError, Rubrics
from judges.rubric.scorer import RubricScorer

__all__ = ["Rubric", "RubricError", "RubricScorer", "Rubrics"]
