"""Rewards programs that pass tests."""

from verifiers.code_execution.scorer import CodeExecution

__all__ = ["CodeExecution"]
