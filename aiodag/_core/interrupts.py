"""Give a loop back the wake-up that a KeyboardInterrupt took from it.

`asyncio.run` answers a second Ctrl-C with a KeyboardInterrupt, raised wherever the main thread is. That may be here:

    _run_once:  handle = self._ready.popleft()
                                                  ◄── KeyboardInterrupt
                handle._run()                         wakes a task

The handle is in no queue any more, and the task that it would have woken waits for a future that is done: it can be
cancelled as often as one likes, and `asyncio.run`, which cancels all tasks and waits for them, never returns. What the
interrupted frame held is in the traceback, so the handle is put back from there.
"""

import sys
from asyncio import AbstractEventLoop, Handle, Task
from typing import Any

PUT_BACK = "aiodag_put_back"  # an attribute of the interrupt whose wake-up has been put back


def put_back_wakeup(loop: AbstractEventLoop) -> None:
    """Schedule again what an interrupt has taken that is being handled now, if it was the wake-up of a task."""
    error = sys.exception()
    if not isinstance(error, KeyboardInterrupt) or hasattr(error, PUT_BACK):
        return
    setattr(error, PUT_BACK, True)
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_name == "_run_once":
            handle: Any = traceback.tb_frame.f_locals.get("handle")
            if isinstance(handle, Handle) and is_lost(handle):
                taken: Any = handle
                loop.call_soon(taken._callback, *taken._args, context=taken._context)
        traceback = traceback.tb_next


def is_lost(handle: Any) -> bool:
    """Return whether a handle would have woken a task that still waits for that. One that has run has not been lost."""
    asyncio_task: Any = getattr(handle._callback, "__self__", None)
    if not isinstance(asyncio_task, Task) or asyncio_task.done():
        return False
    waits_for = getattr(asyncio_task, "_fut_waiter", None)
    return waits_for is (handle._args[0] if handle._args else None)
