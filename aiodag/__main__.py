"""Run the command line: `python -m aiodag`."""

import sys

from aiodag.cli import run_command_line

if __name__ == "__main__":
    sys.exit(run_command_line())
