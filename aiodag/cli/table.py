"""The functions of the commands: a function for each, which loads the code of its command when that is typed.

The parser alone is loaded before: help and completion must come at once.
"""

from argparse import Namespace


def carry_out_run(args: Namespace) -> int:
    """Carry out `run`."""
    from aiodag.cli.running import begin_run

    return begin_run(args)


def carry_out_resume(args: Namespace) -> int:
    """Carry out `resume`."""
    from aiodag.cli.running import resume

    return resume(args)


def carry_out_plan(args: Namespace) -> int:
    """Carry out `plan`."""
    from aiodag.cli.commands import print_plan

    return print_plan(args)


def carry_out_runs(args: Namespace) -> int:
    """Carry out `runs`."""
    from aiodag.cli.commands import runs

    return runs(args)


def carry_out_show(args: Namespace) -> int:
    """Carry out `show`."""
    from aiodag.cli.commands import show

    return show(args)


def carry_out_log(args: Namespace) -> int:
    """Carry out `log`."""
    from aiodag.cli.log import log

    return log(args)


def carry_out_graph(args: Namespace) -> int:
    """Carry out `graph`."""
    from aiodag.cli.commands import graph

    return graph(args)


def carry_out_register(args: Namespace) -> int:
    """Carry out `register`."""
    from aiodag.cli.registry import register_target

    return register_target(args)


def carry_out_list(args: Namespace) -> int:
    """Carry out `list`."""
    from aiodag.cli.registry import workflows

    return workflows(args)


def carry_out_export(args: Namespace) -> int:
    """Carry out `export`."""
    from aiodag.cli.registry import export

    return export(args)


def carry_out_import(args: Namespace) -> int:
    """Carry out `import`."""
    from aiodag.cli.registry import take_in

    return take_in(args)


def carry_out_submit(args: Namespace) -> int:
    """Carry out `submit`."""
    from aiodag.cli.queues import submit_target

    return submit_target(args)


def carry_out_worker(args: Namespace) -> int:
    """Carry out `worker`."""
    from aiodag.cli.workers import work

    return work(args)


def carry_out_workers(args: Namespace) -> int:
    """Carry out `workers`."""
    from aiodag.cli.workers import workers

    return workers(args)


def carry_out_queues(args: Namespace) -> int:
    """Carry out `queues`."""
    from aiodag.cli.queues import queues

    return queues(args)


def carry_out_send(args: Namespace) -> int:
    """Carry out `send`."""
    from aiodag.cli.messages import deliver_message

    return deliver_message(args)


def carry_out_waits(args: Namespace) -> int:
    """Carry out `waits`."""
    from aiodag.cli.messages import list_waits

    return list_waits(args)


def carry_out_messages(args: Namespace) -> int:
    """Carry out `messages`."""
    from aiodag.cli.messages import list_messages

    return list_messages(args)


def carry_out_topics(args: Namespace) -> int:
    """Carry out `topics`."""
    from aiodag.cli.messages import list_topics

    return list_topics(args)


def carry_out_next(args: Namespace) -> int:
    """Carry out `next`."""
    from aiodag.cli.upcoming import print_upcoming

    return print_upcoming(args)


def carry_out_cancel(args: Namespace) -> int:
    """Carry out `cancel`."""
    from aiodag.cli.commands import cancel

    return cancel(args)


def carry_out_delete(args: Namespace) -> int:
    """Carry out `delete`."""
    from aiodag.cli.registry import delete_which

    return delete_which(args)


def carry_out_backup(args: Namespace) -> int:
    """Carry out `backup`."""
    from aiodag.cli.registry import backup

    return backup(args)


def carry_out_migrate(args: Namespace) -> int:
    """Carry out `migrate`."""
    from aiodag.cli.registry import migrate_store

    return migrate_store(args)


def carry_out_copy(args: Namespace) -> int:
    """Carry out `copy`."""
    from aiodag.cli.registry import copy

    return copy(args)


def carry_out_about(args: Namespace) -> int:
    """Carry out `info`."""
    from aiodag.cli.commands import print_about

    return print_about(args)


def carry_out_validate(args: Namespace) -> int:
    """Carry out `validate`."""
    from aiodag.cli.validating import print_complaints

    return print_complaints(args)


def carry_out_schema(args: Namespace) -> int:
    """Carry out `schema`."""
    from aiodag.cli.registry import schema

    return schema(args)


def carry_out_completion(args: Namespace) -> int:
    """Carry out `completion`."""
    from aiodag.cli.completion import print_completion

    return print_completion(args)


def carry_out_agent(args: Namespace) -> int:
    """Carry out `agent`."""
    from aiodag.cli.agents import run_agent

    return run_agent(args)


def carry_out_agents(args: Namespace) -> int:
    """Carry out `agents`."""
    from aiodag.cli.agents import agents

    return agents(args)


def carry_out_hosts(args: Namespace) -> int:
    """Carry out `hosts`."""
    from aiodag.cli.hosts import hosts

    return hosts(args)


def carry_out_serve(args: Namespace) -> int:
    """Carry out `serve`."""
    from aiodag.cli.serve import serve_store

    return serve_store(args)


def carry_out_token(args: Namespace) -> int:
    """Carry out `token`."""
    from aiodag.cli.access import carry_out_action

    return carry_out_action(args)


def carry_out_audit(args: Namespace) -> int:
    """Carry out `audit`."""
    from aiodag.cli.access import audit

    return audit(args)


def carry_out_help(args: Namespace) -> int:
    """Print the parameters of a target, after its help."""
    from aiodag.cli.described import describe

    return describe(args)


def carry_out_schedules(args: Namespace) -> int:
    """Carry out `schedules`."""
    from aiodag.cli.schedules import schedules

    return schedules(args)


def carry_out_backfill(args: Namespace) -> int:
    """Carry out `backfill`."""
    from aiodag.cli.schedules import backfill

    return backfill(args)
