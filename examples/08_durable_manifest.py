"""Write the SHA-256 manifest of a large directory tree; kill it, start it again, and it goes on.

    python 08_durable_manifest.py [-o FILE] [DIRECTORY]      (SHA256SUMS, the current directory)
    sha256sum -c SHA256SUMS

It is the manifest of 07, in a run that is recorded, in a store beside the manifest: SHA256SUMS.runs. A digest that is
recorded is recalled, and its file not opened again. What a digest is known by is path, size and time of change: a file
that has changed since is another call, and is hashed again. An unfinished run goes on, a finished one begins anew.

`journal=False` marks what happens in every execution: `walk`, which looks at the tree as it is now, and `write`,
whose file somebody may have removed. What they do can be done twice.

Symbolic links, special files and what this program writes are left out. The exit status is 1 if anything could not be
read, 2 if nothing could be written.
"""

import argparse
import asyncio
import hashlib
import os
import stat
import sys
from contextlib import closing
from pathlib import Path

from aiodag import Limit, Run, State, StoreError, settled, task
from aiodag.stores import SQLite

DISKS = Limit(max(2, os.cpu_count() or 1))


def escaped(name):
    """Return a name as sha256sum writes it: on one line, whatever it holds."""
    return name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")


def shown(name):
    """Return a name for a message."""
    text = os.fsdecode(escaped(name))
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def identity(status):
    return status.st_dev, status.st_ino


@task(journal=False)
def walk(root, own):
    """Return path, size and time of change of the regular files under `root`, sorted; and what could not be read."""
    own = {identity(path.stat()) for path in own if path.exists()}
    files, faults, unread = [], [], [root]
    while unread:
        directory = unread.pop()
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        unread.append(entry.path)
                    elif stat.S_ISREG(status.st_mode) and identity(status) not in own:
                        files.append((entry.path, status.st_size, status.st_mtime_ns))
        except OSError as error:
            faults.append(f"{shown(directory)}: {error.strerror}")
    return sorted(files), sorted(faults)


@task(limit=DISKS)
def digest(path, _size, _changed_at):
    """Hash a file. Its size and time of change are not looked at: by them the call is known again, or not."""
    with open(path, "rb") as file:  # noqa: PTH123 - a name in bytes, which Path does not take
        return hashlib.file_digest(file, "sha256").hexdigest()


@task(journal=False)
def write(paths, digests, target, draft):
    """Write the lines that there are, all or nothing; return which are missing, and why."""
    lines, faults = [], []
    for path, node in zip(paths, digests, strict=True):
        error, name = node.exception(), escaped(path)
        if error is None:
            mark = b"\\" if name != path else b""
            lines.append(mark + node.result().encode() + b"  " + name + b"\n")
        else:
            faults.append(f"{shown(path)}: {getattr(error, 'strerror', None) or error}")
    draft.write_bytes(b"".join(lines))
    draft.replace(target)
    return faults


def unfinished(store):
    """Return the id of the last run if it did not come to its end: killed, cancelled, or without room on the disk."""
    last = store.runs()[-1:]
    return last[0].id if last and last[0].state is not State.SUCCEEDED else None


async def manifest(root, target):
    """Return the exit status."""
    draft, place = (target.with_name(f"{target.name}.{ending}") for ending in ("part", "runs"))
    own = [target, draft, place, *(place.with_name(place.name + more) for more in ("-wal", "-shm", "-lock"))]
    with closing(SQLite(place)) as store:
        async with Run("manifest", store=store, id=unfinished(store)) as run:
            files, faults = await walk(root, own)
            paths = [path for path, _, _ in files]
            written = write(paths, [settled(digest(*file)) for file in files], target, draft)
    hashed = sum(node.name == "digest" and node.started is not None for node in run.graph().nodes)
    print(f"{hashed} hashed, {len(files) - hashed} recalled", file=sys.stderr)
    faults += written.result()
    for fault in faults:
        print(f"cannot read: {fault}", file=sys.stderr)
    return 1 if faults else 0


def main():
    parser = argparse.ArgumentParser(description="Write the SHA-256 manifest of a directory tree. It can be killed.")
    parser.add_argument("directory", nargs="?", default=".", help="the tree (the current directory by default)")
    parser.add_argument("-o", "--output", type=Path, default=Path("SHA256SUMS"), metavar="FILE", help="write here")
    options = parser.parse_args()
    root = os.fsencode(options.directory)
    if not os.path.isdir(root):  # noqa: PTH112 - a name in bytes
        parser.error(f"{shown(root)}: no such directory")
    try:
        return asyncio.run(manifest(root, options.output))
    except* (OSError, StoreError) as failed:
        print(f"no manifest: {failed.exceptions[0]}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
