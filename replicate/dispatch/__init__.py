"""Hands runs to processes, in a pool on this machine or as tasks of a cluster, and knows their code."""
