"""Run the command line: `python -m aiodag`."""

import sys

from aiodag.cli import main

if __name__ == "__main__":
    sys.exit(main())
