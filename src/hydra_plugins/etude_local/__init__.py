"""Étude's local launcher: a Hydra plugin for any application."""
