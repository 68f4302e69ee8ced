"""What stands in `${{ }}` and in conditions: a small language of its own, without a way to any object of Python."""
