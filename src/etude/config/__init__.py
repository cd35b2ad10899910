"""The configuration: its schema, its checks, a run's fingerprint, building a part by its target."""

from etude.config.build import build, schedule_of, settings, source_of
from etude.config.check import ConfigError, check
from etude.config.fingerprint import Identity, describe, identify, results, short_target
from etude.config.schema import Config, Reference

__all__ = [
    "Config",
    "ConfigError",
    "Identity",
    "Reference",
    "build",
    "check",
    "describe",
    "identify",
    "results",
    "schedule_of",
    "settings",
    "short_target",
    "source_of",
]
