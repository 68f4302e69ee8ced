"""Time one `import aiodag` after `import asyncio`; print one JSON line."""

import asyncio  # noqa: F401 - its cost is not ours
import json
import time

start = time.perf_counter()
import aiodag  # noqa: E402, F401

print(json.dumps({"ms": (time.perf_counter() - start) * 1e3}))
