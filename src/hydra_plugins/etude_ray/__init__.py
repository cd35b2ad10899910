"""Étude's Ray launcher: a Hydra plugin for any application."""
