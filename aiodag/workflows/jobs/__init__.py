"""Workflows of jobs and stages, as people write them in YAML."""
