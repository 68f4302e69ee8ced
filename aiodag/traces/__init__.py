"""Where others look on. One file for each way to show runs, imported when you ask for it."""
