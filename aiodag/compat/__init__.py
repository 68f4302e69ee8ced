"""Run what was written for other programs, with only the import lines changed: one file for each of them."""
