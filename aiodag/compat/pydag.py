"""Run scripts of Pydag with only their import lines changed: no gocron, no Redis.

    from aiodag.compat.pydag import GoCronJob, GoCronTask, PyGoCron, compose_command

A job becomes a `Workflow` of shell lines and is recorded in the usual store, so that `aiodag log TestJob` shows it. Write
new jobs as a `Workflow`: docs/coming-from-pydag.md has both side by side.
"""

import asyncio
import json
import os
import shlex
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import which
from typing import Any

from aiodag.commands import shell
from aiodag.errors import Complaint, EntryError, MissingExtra, OptionError, WorkflowError
from aiodag.pictures import png, svg
from aiodag.service import Service
from aiodag.workflows.workflow import Workflow

__all__ = ["GoCronJob", "GoCronTask", "PyGoCron", "compose_command", "compose_command_for_file"]

SECONDS = 3600  # that a task may take, unless PYDAG_TASK_TIMEOUT says otherwise
MODES = ("execute", "submit")
COMMANDS = {"py": "PYDAG_PYTHON_COMMAND", "ipynb": "PYDAG_JUPYTERNB_COMMAND"}


class PyGoCron:
    """Stands for the connection to a gocron server. None is needed: the address and password are not used.

    >>> from aiodag.compat.pydag import PyGoCron
    >>> PyGoCron()
    <PyGoCron: this machine>
    """

    def __init__(self, gocron_address: str = "", gocron_admin_user: str = "", gocron_admin_password: str = "") -> None:
        del gocron_address, gocron_admin_user, gocron_admin_password

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        msg = f"PyGoCron.{name} asks a gocron server, and there is none: tasks run on this machine. Leave the call out"
        raise AttributeError(msg)

    def __repr__(self) -> str:
        return "<PyGoCron: this machine>"


class GoCronTask:
    """A shell line with a name, and what comes before and after it.

    `node_id` is refused with `OptionError`: it names another machine. None and 1, that of the server itself, are this one.

    >>> from aiodag.compat.pydag import GoCronTask
    >>> GoCronTask(name="Sync Data", command="sleep 1")
    Task<Sync Data>
    """

    def __init__(self, name: str, command: str, node_id: int | None = None) -> None:
        if node_id not in {None, 1}:
            wanted = "left out: tasks run on this machine. For another one, write ssh into the command"
            raise OptionError("node_id", node_id, wanted)
        self.id = self.name = name
        self.command = command
        self.upstreams: list[GoCronTask] = []
        self.downstreams: list[GoCronTask] = []

    def set_downstream(self, task: "GoCronTask") -> None:
        """Make a task wait for this one."""
        if task not in self.downstreams:
            self.downstreams.append(task)

    def set_upstream(self, task: "GoCronTask") -> None:
        """Make this task wait for another."""
        if task not in self.upstreams:
            self.upstreams.append(task)

    def __repr__(self) -> str:
        return f"Task<{self.id}>"


class GoCronJob:
    """A job: tasks that are drawn and run together.

    >>> from aiodag.compat.pydag import GoCronJob, GoCronTask, PyGoCron
    >>> tasks = [GoCronTask("Sync Data", "echo rows"), GoCronTask("Send Email", "echo sent")]
    >>> tasks[0].set_downstream(tasks[1])
    >>> job = GoCronJob("TestJob", PyGoCron())
    >>> job.add_task(*tasks)
    >>> job
    <TestJob with 2 tasks>
    >>> job.get_successors("Sync Data")
    [Task<Send Email>]
    """

    def __init__(self, name: str, task_manager: PyGoCron | None = None) -> None:
        del task_manager
        self.id = self.name = name
        self._tasks: list[GoCronTask] = []

    def add_task(self, *tasks: GoCronTask) -> None:
        """Add tasks. Raises `WorkflowError`, a `ValueError`, for a cycle and for an edge to a task that is not added."""
        self._tasks.extend(tasks)
        self._refuse_missing()
        self.workflow().check()

    def _refuse_missing(self) -> None:
        """Refuse edges to tasks that are not added."""
        complaints = [
            Complaint("", f"{task.name!r} is tied to {other.name!r}, which is not added: pass both to add_task at once")
            for task in self._tasks
            for other in (*task.upstreams, *task.downstreams)
            if other not in self._tasks
        ]
        if complaints:
            raise WorkflowError(complaints)

    def workflow(self) -> Workflow:
        """Return the job as a `Workflow`."""
        made = Workflow(self.name)
        timeout = seconds_of("PYDAG_TASK_TIMEOUT", SECONDS)
        program = which("bash") or "/bin/sh"  # that of gocron
        for task in self._tasks:
            line = shell(task.command, shell=program, strict=False, timeout=timeout)
            made.add(line, name=task.name, after=[each.name for each in self.get_predecessors(task.id)])
        return made

    def run(self, mode: str = "execute") -> None:
        """Run the job until all of it has ended. With the mode "submit" write it into NAME.json, register it, and run nothing.

        Raises `RunFailed` if a task failed: those that need it are skipped, and all others run.
        """
        if mode not in MODES:
            raise OptionError("mode", mode, f"one of {', '.join(MODES)}")
        check_run_new()
        if mode == "submit":
            self.submit()
            return
        service = Service()
        try:
            wait_for_workflow(self.workflow(), service)
        finally:
            service.store.close()

    def submit(self, cron: str = "") -> None:
        """Write the job into NAME.json and register it; with a cron expression, have workers run it then.

        So does `aiodag submit NAME --cron EXPRESSION` with a job that is registered. Raises `TriggerError`.
        """
        service = Service()
        try:
            file = self._file("json")
            file.write_text(json.dumps(self.workflow().document(), indent=2), encoding="utf-8")
            service.register(str(file), replace=True)
            if cron:
                service.put_schedule(self.name, str(file), cron)
        finally:
            service.store.close()

    def get_task_by_id(self, id: str) -> GoCronTask:  # noqa: A002 - as Pydag calls it
        """Return a task by its name. Raises `ValueError`."""
        for task in self._tasks:
            if task.id == id:
                return task
        msg = f"job {self.name!r} has no task {id!r}; it has {', '.join(repr(task.id) for task in self._tasks)}"
        raise ValueError(msg)

    def get_root_task(self) -> GoCronTask:
        """Return the first task that waits for no other. Raises `ValueError` in a job without tasks."""
        for task in self._tasks:
            if not self.get_predecessors(task.id):
                return task
        msg = f"job {self.name!r} has no tasks: call add_task first"
        raise ValueError(msg)

    def get_successors(self, id: str) -> list[GoCronTask]:  # noqa: A002 - as above
        """Return the tasks that wait for one."""
        task = self.get_task_by_id(id)
        return [each for each in self._tasks if each in task.downstreams or task in each.upstreams]

    def get_predecessors(self, id: str) -> list[GoCronTask]:  # noqa: A002 - as above
        """Return the tasks that one waits for."""
        task = self.get_task_by_id(id)
        return [each for each in self._tasks if each in task.upstreams or task in each.downstreams]

    @staticmethod
    def delete_job_tasks(task_manager: PyGoCron | None, job_name: str) -> None:
        """Delete the runs of a job, and the job itself where it is registered. Raises `UnknownRun` for no such name."""
        del task_manager
        service = Service()
        try:
            service.forget(job_name)
        finally:
            service.store.close()

    def __str__(self) -> str:
        """Draw the job into NAME.png in the working directory, as Pydag does; into NAME.svg without the extra `draw`."""
        graph = self.workflow().graph()
        try:
            self._file("png").write_bytes(png(graph))
        except MissingExtra:
            self._file("svg").write_text(svg(graph), encoding="utf-8")
        return repr(self)

    def _file(self, ending: str) -> Path:
        """Return a file of the working directory with the name of the job."""
        return Path(f"{self.name.replace('/', '_')}.{ending}")

    def __repr__(self) -> str:
        return f"<{self.name} with {len(self._tasks)} tasks>"


def wait_for_workflow(workflow: Workflow, service: Service) -> None:
    """Run a workflow to its end. Where a loop runs already, as in a notebook, it has one in a thread."""

    def run() -> None:
        asyncio.run(workflow.run(service.store))

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        run()
        return
    with ThreadPoolExecutor(1) as threads:
        threads.submit(run).result()


def check_run_new() -> None:
    """Refuse what PYDAG_RUN_NEW cannot be. Both yes and no begin a run. Raises `OptionError`."""
    given = os.environ.get("PYDAG_RUN_NEW", "yes").strip().lower()
    if given not in {"yes", "no"}:
        raise OptionError("PYDAG_RUN_NEW", given, "yes or no")


def seconds_of(variable: str, usual: int) -> int:
    """Return the seconds that a variable says. Raises `OptionError`."""
    given = os.environ.get(variable, "").strip() or str(usual)
    if not given.isdecimal() or not int(given):
        raise OptionError(variable, given, "seconds, a whole number above 0")
    return int(given)


def compose_command(file: str) -> str:
    """Return a line that runs a Python file or a notebook of the working directory.

    PYDAG_PYTHON_COMMAND and PYDAG_JUPYTERNB_COMMAND name other programs than this Python and `jupyter run`, and
    PYDAG_ADD_SUDO=yes puts sudo before them. Raises `EntryError` for a file that is not there, or of another kind.
    """
    path, ending = os.path.abspath(file), file.rpartition(".")[2]  # noqa: PTH100 - of a text
    if ending not in COMMANDS or not os.path.exists(path):  # noqa: PTH110 - as above
        msg = f"{file} cannot be run: give a file of this directory that ends in .py or .ipynb"
        raise EntryError(msg)
    usual = shlex.quote(sys.executable) if ending == "py" else "jupyter run"
    sudo = "sudo " if os.environ.get("PYDAG_ADD_SUDO", "").strip().lower() == "yes" else ""
    return f"{sudo}{os.environ.get(COMMANDS[ending]) or usual} {shlex.quote(path)}"


compose_command_for_file = compose_command
