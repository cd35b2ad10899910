"""The configuration: its schema, its checks, a run's fingerprint, building a part by its target."""

from etude.config.build import build, network_of, schedule_of, settings, source_of
from etude.config.check import ConfigError, check
from etude.config.fingerprint import describe, identify, results
from etude.config.schema import Config, Reference

__all__ = [
    "Config",
    "ConfigError",
    "Reference",
    "build",
    "check",
    "describe",
    "identify",
    "network_of",
    "results",
    "schedule_of",
    "settings",
    "source_of",
]
