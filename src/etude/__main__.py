"""`python -m etude` is the command `etude`."""

import sys

from etude.cli.entry import etude

if __name__ == "__main__":
    sys.exit(etude())
