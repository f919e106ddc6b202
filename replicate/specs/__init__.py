"""The files of experiments/: read, merged, typed, checked."""
