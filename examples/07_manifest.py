"""Write the SHA-256 manifest of a directory tree, as `sha256sum` would.

    python 07_manifest.py [-o FILE] [DIRECTORY]      (the current directory by default)
    python 07_manifest.py tree > SUMS && sha256sum -c SUMS

Plain functions run in threads, so hashing never blocks the loop; a limit keeps few files open at once. `combine`
takes `settled` nodes: a file that cannot be read costs its line and a message, not the manifest.

Symbolic links and special files are named on stderr and left out, and so is the file that the manifest goes to.
The exit status is 1 if anything could not be read, 2 if nothing could be written.
"""

import argparse
import asyncio
import hashlib
import os
import stat
import sys
from pathlib import Path

from aiodag import Limit, Run, settled, task

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


@task
def walk(root, own):
    """Return the regular files under `root`, sorted, and a remark for everything else."""
    files, remarks, faults, unread = [], [], [], [root]
    while unread:
        directory = unread.pop()
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        unread.append(entry.path)
                    elif stat.S_ISLNK(status.st_mode):
                        remarks.append(f"{shown(entry.path)}: symbolic link, not followed")
                    elif not stat.S_ISREG(status.st_mode):
                        remarks.append(f"{shown(entry.path)}: not a regular file")
                    elif identity(status) != own:
                        files.append(entry.path)
        except OSError as error:
            faults.append(f"{shown(directory)}: {error.strerror}")
    return sorted(files), sorted(remarks), sorted(faults)


@task(limit=DISKS)
def line(path):
    """Hash a file; return its line of the manifest."""
    with open(path, "rb") as file:  # noqa: PTH123 - a name in bytes, which Path does not take
        digest = hashlib.file_digest(file, "sha256").hexdigest().encode()
    name = escaped(path)
    return (b"\\" if name != path else b"") + digest + b"  " + name + b"\n"


@task
async def combine(paths, lines):
    """Join the lines that there are; say which are missing, and why."""
    faults = [
        f"{shown(path)}: {getattr(node.exception(), 'strerror', None) or node.exception()}"
        for path, node in zip(paths, lines, strict=True)
        if node.exception()
    ]
    return b"".join(node.result() for node in lines if not node.exception()), faults


@task
def write(combined, target):
    """Write the manifest to a file, all or nothing, or to standard output."""
    manifest, faults = combined
    if target is None:
        with open(sys.stdout.fileno(), "wb", closefd=False) as out:
            out.write(manifest)
        return faults
    draft = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        draft.write_bytes(manifest)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return faults


def own_file(target):
    """Return what identifies the file that the manifest goes to: hashing that would never come out right."""
    try:
        return identity(target.stat() if target else os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):
        return None


async def manifest(root, target):
    """Return the exit status."""
    async with Run("manifest"):
        files, remarks, faults = await walk(root, own_file(target))
        for remark in remarks:
            print(f"left out: {remark}", file=sys.stderr)
        written = write(combine(files, [settled(line(path)) for path in files]), target)
    faults += written.result()
    for fault in faults:
        print(f"cannot read: {fault}", file=sys.stderr)
    if not files:
        print(f"no regular files under {shown(root)}: the manifest is empty", file=sys.stderr)
    return 1 if faults else 0


def main():
    parser = argparse.ArgumentParser(description="Write the SHA-256 manifest of a directory tree.")
    parser.add_argument("directory", nargs="?", default=".", help="the tree (the current directory by default)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write here, not to standard output")
    options = parser.parse_args()
    root = os.fsencode(options.directory)
    if not os.path.isdir(root):  # noqa: PTH112 - a name in bytes
        there = os.path.lexists(root)
        parser.error(f"{shown(root)}: {'is not a directory' if there else 'no such directory'}")
    try:
        return asyncio.run(manifest(root, options.output))
    except* OSError as failed:
        print(f"cannot write the manifest: {failed.exceptions[0].strerror}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
