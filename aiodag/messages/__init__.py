"""Waiting for the world: messages, timers, and what runs send."""
