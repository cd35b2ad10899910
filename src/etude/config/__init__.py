"""The configuration: its schema, its checks, a run's fingerprint, building a part by its target."""

from etude.config.build import build, settings, source_of
from etude.config.check import ConfigError, check
from etude.config.fingerprint import describe, fingerprint, results
from etude.config.schema import Config, Reference

__all__ = [
    "Config",
    "ConfigError",
    "Reference",
    "build",
    "check",
    "describe",
    "fingerprint",
    "results",
    "settings",
    "source_of",
]
