"""Campaigns on a SLURM cluster."""
