"""Lets the tests of the model import the builders that they share, `tests/clinic_builder.py`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
