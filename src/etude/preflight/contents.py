"""Stub until contents land."""


class Contents:
    def of(self, config, runs):
        return {}


def changed(then, config):
    return []
