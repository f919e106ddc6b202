"""A run on disk: its folder, and the record that it ends with."""
