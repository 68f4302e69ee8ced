"""Print all that is wrong with files, before anything of them runs."""

from argparse import Namespace

from aiodag.cli.answers import print_remark, say
from aiodag.service.validation import complaint_documents, validate
from aiodag.wording import count_text, printable

WRONG = 2  # as what cannot begin ends with


def print_complaints(args: Namespace) -> int:
    """Print what is wrong with files; return the exit code."""
    found = validate(args.files)
    lines = [printable(str(each)) for each in found.complaints]
    say(args, [*complaint_documents(found.complaints)], "\n".join(lines))
    if found.others:
        print_remark(args, f"left out, since they define no workflow: {', '.join(map(printable, found.others))}")
    counts = f"{count_text(found.workflows, 'workflow')} in {count_text(len(found.files), 'file')}"
    wrong = count_text(len(lines), "complaint") if lines else "nothing wrong"
    print_remark(args, f"{counts}: {wrong}")
    return WRONG if lines else 0
