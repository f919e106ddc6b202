"""The figures, each from data frames alone."""
