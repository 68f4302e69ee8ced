"""Every exception that aiodag raises::

    Exception
     ├── AiodagError
     │    ├── NoLoop         (RuntimeError)             a task was called outside a running loop
     │    ├── ForeignLoop    (RuntimeError, ValueError) an awaitable of another loop was passed
     │    ├── Deadlock       (RuntimeError)             a body awaits what waits for that body
     │    ├── UnexpectedCancel (RuntimeError)           a body ended in a CancelledError that nobody asked for
     │    ├── WorkerDied     (RuntimeError)             the process of an attempt ended without an answer
     │    ├── AttemptLost    (RuntimeError)             nobody can know how an attempt ended on another machine
     │    ├── NotPicklable   (TypeError)                something cannot go to another process, or come back
     │    ├── Stalled        (RuntimeError)             nothing on a virtual clock can ever go on
     │    ├── NotATask       (TypeError)                what was decorated cannot be a task
     │    ├── UnknownOption  (TypeError)                an option that no task has
     │    ├── OptionError    (ValueError)               an option with a value that cannot work
     │    ├── PayloadRefused (ValueError)               a message whose payload cannot be taken
     │    ├── MessageRefused                            a message that a transport will never send
     │    ├── NoCapacity     (ValueError)               a task asks for what its run will never have
     │    ├── HookFailed     (RuntimeError)             the URL of a hook did not accept the summary
     │    ├── CycleError     (ValueError)               a graph with a cycle, or a container inside itself
     │    ├── MissingExtra   (ImportError)              an optional dependency that is not installed
     │    ├── NoSecret       (LookupError)              a secret that cannot be read, or is too short to be one
     │    ├── SecretInValue  (ValueError)               a value that cannot be stored, since a secret is in it
     │    ├── NoFingerprint  (TypeError)                an argument by which no node can be known again
     │    │    └── NoIdentity                           a function that could be taken for another of its name
     │    ├── NoCodec        (TypeError)                a value that cannot be stored
     │    ├── ValueTooLarge  (ValueError)               a value that is too large for a store
     │    ├── TaskMoved                                 a recorded function that is not where it was
     │    ├── Undecodable    (ValueError)               a stored value that cannot be read back
     │    ├── ValueGone      (LookupError)              a value that was left where it was made, and is there no longer
     │    ├── RecordedError                             stands for a stored exception that cannot be rebuilt
     │    ├── EntryError     (ValueError)               a file, a task or arguments that no run can begin with
     │    ├── WorkflowError  (ValueError)               a workflow with faults, all of them at once
     │    ├── DefinitionRefused                         a definition, where only registered workflows may run
     │    ├── PlanFailed                                code that a server cannot think through
     │    │    └── PlanningBusy                         a server that thinks through all that it may at once
     │    ├── StageFailed                               a stage of a workflow file that has failed
     │    ├── ExpressionError (ValueError)              what stands in `${{ }}` or `if` has no value
     │    ├── SettingsError  (ValueError)               settings that cannot be read, all that is wrong at once
     │    ├── TriggerError   (ValueError)               a cron expression, or another trigger, that says no moments
     │    ├── RunCancelled                              a run that was cancelled from outside
     │    ├── WaitLost                                  a run that was woken, and does not wait for that any more
     │    ├── QueueError                                a submitted run that failed without its own doing
     │    ├── NotAdmitted    (PermissionError)          a request with no token that a server knows
     │    ├── NotAllowed     (PermissionError)          a token whose role does not let its holder do that
     │    └── StoreError                                a store cannot be used
     │         ├── StoreUnreachable                     a store that cannot be reached for now
     │         ├── NotFound                             something that the store does not have
     │         │    └── UnknownRun                      a run that the store does not have
     │         ├── RunOwned                             a run that another process owns
     │         ├── RunQueued                            a run that waits in a queue already
     │         └── LeaseLost                            a run that was taken over or deleted meanwhile
     ├── Skip                                           raised by a body: nothing to do, nothing failed
     └── ExceptionGroup
          └── RunFailed                                 the root failures of a run
    BaseException
     ├── LetGo                                          raised in bodies of a run that goes on elsewhere
     └── BegunAgain                                     raised by `begin_again` out of a body

A failed node raises its own exception, of the type that its body raised; none of these wraps it.
"""

from aiodag.complaint import Complaint as Complaint
from aiodag.errors.access import NotAdmitted as NotAdmitted
from aiodag.errors.access import NotAllowed as NotAllowed
from aiodag.errors.attempts import AttemptLost as AttemptLost
from aiodag.errors.attempts import Deadlock as Deadlock
from aiodag.errors.attempts import NoSecret as NoSecret
from aiodag.errors.attempts import NotPicklable as NotPicklable
from aiodag.errors.attempts import Skip as Skip
from aiodag.errors.attempts import StageFailed as StageFailed
from aiodag.errors.attempts import Stalled as Stalled
from aiodag.errors.attempts import UnexpectedCancel as UnexpectedCancel
from aiodag.errors.attempts import WorkerDied as WorkerDied
from aiodag.errors.calls import CycleError as CycleError
from aiodag.errors.calls import ForeignLoop as ForeignLoop
from aiodag.errors.calls import MissingExtra as MissingExtra
from aiodag.errors.calls import NoCapacity as NoCapacity
from aiodag.errors.calls import NoLoop as NoLoop
from aiodag.errors.calls import NotATask as NotATask
from aiodag.errors.calls import OptionError as OptionError
from aiodag.errors.calls import UnknownOption as UnknownOption
from aiodag.errors.complaints import DefinitionRefused as DefinitionRefused
from aiodag.errors.complaints import EntryError as EntryError
from aiodag.errors.complaints import ExpressionError as ExpressionError
from aiodag.errors.complaints import PlanFailed as PlanFailed
from aiodag.errors.complaints import PlanningBusy as PlanningBusy
from aiodag.errors.complaints import SettingsError as SettingsError
from aiodag.errors.complaints import TriggerError as TriggerError
from aiodag.errors.complaints import WorkflowError as WorkflowError
from aiodag.errors.messages import BegunAgain as BegunAgain
from aiodag.errors.messages import MessageRefused as MessageRefused
from aiodag.errors.messages import PayloadRefused as PayloadRefused
from aiodag.errors.messages import WaitLost as WaitLost
from aiodag.errors.recorded import NoCodec as NoCodec
from aiodag.errors.recorded import NoFingerprint as NoFingerprint
from aiodag.errors.recorded import NoIdentity as NoIdentity
from aiodag.errors.recorded import RecordedError as RecordedError
from aiodag.errors.recorded import SecretInValue as SecretInValue
from aiodag.errors.recorded import TaskMoved as TaskMoved
from aiodag.errors.recorded import Undecodable as Undecodable
from aiodag.errors.recorded import ValueGone as ValueGone
from aiodag.errors.recorded import ValueTooLarge as ValueTooLarge
from aiodag.errors.root import AiodagError as AiodagError
from aiodag.errors.root import remade as remade
from aiodag.errors.runs import HookFailed as HookFailed
from aiodag.errors.runs import LetGo as LetGo
from aiodag.errors.runs import QueueError as QueueError
from aiodag.errors.runs import RunCancelled as RunCancelled
from aiodag.errors.runs import RunFailed as RunFailed
from aiodag.errors.stores import LeaseLost as LeaseLost
from aiodag.errors.stores import NotFound as NotFound
from aiodag.errors.stores import RunOwned as RunOwned
from aiodag.errors.stores import RunQueued as RunQueued
from aiodag.errors.stores import StoreError as StoreError
from aiodag.errors.stores import StoreUnreachable as StoreUnreachable
from aiodag.errors.stores import UnknownRun as UnknownRun
