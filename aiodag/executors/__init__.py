"""Where an attempt runs. One file each, imported when a task asks for it by name."""
