"""Make, list and revoke tokens, and list what was changed with them."""

import sys
from argparse import Namespace
from datetime import datetime

from aiodag.access import AuditRecord, TokenRecord
from aiodag.cli import show as shown
from aiodag.cli.answers import print_remark, say
from aiodag.cli.opening import serving
from aiodag.errors import OptionError
from aiodag.service import Service
from aiodag.service.access_documents import audit_document, token_document
from aiodag.wording import count_text

TOKENS_HEAD = ("TOKEN", "ROLE", "STATE", "MADE", "USED", "EXPIRES")
AUDIT_HEAD = ("WHEN", "WHO", "WHAT", "ABOUT", "ANSWER", "FROM")


def carry_out_action(args: Namespace) -> int:
    """List the tokens, make one, or revoke it."""
    refuse_unused(args)
    with serving(args) as service:
        if args.action == "list":
            list_tokens(args, service)
        elif args.name is None:
            raise OptionError("name", "", f"the token to {'make' if args.action == 'new' else 'revoke'}")
        elif args.action == "new":
            print_new_token(args, service)
        else:
            service.revoke_token(args.name)
            say(args, {"name": args.name, "revoked": True}, "")
            print_remark(args, f"token {args.name} lets nobody in any more")
    return 0


def refuse_unused(args: Namespace) -> None:
    """Refuse what the action does not use. Raises `OptionError`."""
    given = {"--role": args.role, "--expires": args.expires}
    for option, value in given.items():
        if value is not None and args.action != "new":
            raise OptionError(option, value, f"given with new, not with {args.action}")
    if args.action == "list" and args.name is not None:
        raise OptionError("name", args.name, "given with new or revoke: list shows all of them")


def print_new_token(args: Namespace, service: Service) -> None:
    """Make a token and print it."""
    role = args.role or "read"
    token = service.make_token(args.name, role, expires=args.expires)
    say(args, {"name": args.name, "role": role, "token": token}, token)
    if sys.stdout.isatty():
        print_remark(args, f"this is the only time that token {args.name} is shown: keep it where secrets are kept")


def list_tokens(args: Namespace, service: Service) -> None:
    """List the tokens."""
    found = service.tokens()
    if not found:
        print_remark(args, f"there are no tokens in {service.place}: `aiodag token new NAME` makes one")
    rows = [TOKENS_HEAD, *map(token_line, found)]
    say(args, [token_document(each) for each in found], shown.table(rows) if found else "")


def token_line(record: TokenRecord) -> tuple[str, ...]:
    """Return a token as a row of a table."""
    state = "damaged" if record.damaged else record.state
    moments = (record.made_at, record.used_at, record.expires_at)
    return record.name, str(record.role), state, *map(short_moment, moments)


def short_moment(moment: datetime | None) -> str:
    """Return a moment for a table."""
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}Z"


def audit(args: Namespace) -> int:
    """List audit lines, or forget old ones."""
    with serving(args) as service:
        if args.forget is not None:
            gone = service.prune_audit(args.forget)
            say(args, {"forgotten": gone}, f"forgot {count_text(gone, 'line')}")
            return 0
        found = service.audit(limit=args.limit, who=args.who, about=args.about)
    if not found:
        print_remark(args, "nothing was changed through the server, as far as is recorded")
    rows = [AUDIT_HEAD, *map(audit_line, found)]
    say(args, [audit_document(each) for each in found], shown.table(rows) if found else "")
    return 0


def audit_line(record: AuditRecord) -> tuple[str, ...]:
    """Return an audit line as a row of a table."""
    answer = "?" if record.outcome is None else str(record.outcome)
    when = f"{record.at:%Y-%m-%d %H:%M:%S}Z"
    return when, record.who, record.what, record.about, answer, record.address
