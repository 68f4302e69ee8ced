"""The graph engine, on the standard library alone. Its modules import each other in one order; see docs/design.md."""
