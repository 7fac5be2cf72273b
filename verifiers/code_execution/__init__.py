"""Rewards programs that pass tests, and what grading programs say."""

from verifiers.code_execution.grader import PythonGrader
from verifiers.code_execution.scorer import CodeExecution

__all__ = ["CodeExecution", "PythonGrader"]
