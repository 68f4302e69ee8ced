"""Graphs that are written down before they run: in Python, or in JSON."""

from aiodag.faces import publish as _publish
from aiodag.workflows.build import Building as Building
from aiodag.workflows.build import Values as Values
from aiodag.workflows.expressions.functions import custom_filter as custom_filter
from aiodag.workflows.files.document import document_of as document_of
from aiodag.workflows.files.load import load as load
from aiodag.workflows.files.load import loads as loads
from aiodag.workflows.model import Parameter as Parameter
from aiodag.workflows.model import WorkflowTask as WorkflowTask
from aiodag.workflows.registered import hook as hook
from aiodag.workflows.registered import tag as tag
from aiodag.workflows.workflow import Workflow as Workflow

_publish(__name__, globals())
