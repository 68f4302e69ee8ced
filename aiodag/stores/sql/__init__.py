"""Runs in an SQL database: the rules, the statements by name, and what is SQLite's own."""
