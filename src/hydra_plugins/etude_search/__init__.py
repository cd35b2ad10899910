"""The sweeper `search`."""
