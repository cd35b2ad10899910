"""The door: the only room that knows Hydra, the command line and the terminal."""

import sys

if sys.platform == "win32":
    sys.exit("etude does not run on Windows itself; `wsl --install` brings a Linux, where it does")
