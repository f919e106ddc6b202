"""The sections of the report, in their order."""
