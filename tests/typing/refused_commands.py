"""Commands that both checkers refuse. Never runs."""

from aiodag.commands import command, shell

command()  # E
command(1)  # E
command("a", None)  # E
command("a", ["b"])  # E
command("a", timeouts=1)  # E
command("a", success="0")  # E
command("a", stdin=7)  # E
command("a", env=["A=1"])  # E
command("a", on_output=print, on_end=3)  # E
shell("a", keep="1")  # E
shell("a", timeouts=1)  # E
shell("a", strict="no")  # E
shell("a", shell=3)  # E
command("a", skip_codes="75")  # E
command("a", strict=True)  # E
