"""`python -m etude` is the command `etude`."""

import sys

from etude.app import main

if __name__ == "__main__":
    sys.exit(main())
