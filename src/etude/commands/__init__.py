"""The commands beside `etude`, one a file."""
