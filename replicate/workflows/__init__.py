"""The steps of a command: the only place that knows every stage."""
