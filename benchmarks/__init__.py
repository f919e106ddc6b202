"""How fast the suite is, measured; see README.md beside this file. Not part of the tests."""
