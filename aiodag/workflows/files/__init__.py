"""Workflows as files: read, checked whole, and written again. One `Workflow` stands behind every format."""
