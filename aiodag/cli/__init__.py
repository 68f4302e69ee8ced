"""The command `aiodag`: options, printing and exit codes around `aiodag.service`, and nothing of its own."""

from aiodag.cli.program import main as main
