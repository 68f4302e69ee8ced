"""Measure aiodag: `python -m benchmarks`, or one module alone, such as `python -m benchmarks.overhead`."""
