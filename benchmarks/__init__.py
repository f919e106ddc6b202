"""How fast the suite is, measured; see README.md beside this file. Not part of the tests."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
