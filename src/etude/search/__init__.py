"""Searching for good settings with Optuna, resumable to the trial; behind the Hydra plugin."""
