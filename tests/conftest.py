"""Shared by all tests: where the repository is, and a fixed Hypothesis profile so that every run tests the same."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root folder of the repository."""
    return Path(__file__).resolve().parents[1]
