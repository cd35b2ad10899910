"""The door: the only room that knows Hydra, the command line and the terminal."""
