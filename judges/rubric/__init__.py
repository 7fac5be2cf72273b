"""Rubric judges: weighted criteria, decided by programs and LLM judges."""

from judges.rubric.hosted import JudgeTable
from judges.rubric.hygiene import Nonces
from judges.rubric.rubric import Rubric, RubricError, Rubrics
from judges.rubric.scorer import RubricScorer

__all__ = ["JudgeTable", "Nonces", "Rubric", "RubricError", "RubricScorer", "Rubrics"]
