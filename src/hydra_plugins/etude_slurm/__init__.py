"""Étude's launcher for SLURM, by submitit: a Hydra plugin."""
