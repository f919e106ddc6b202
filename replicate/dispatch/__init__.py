"""Hands runs to processes: a bounded pool on this machine."""
