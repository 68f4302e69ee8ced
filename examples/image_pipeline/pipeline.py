"""What runs for each album: a thumbnail of each picture, and a contact sheet of them all.

Pictures are plain PPM files, so that this needs nothing but Python. Each file is written under another name and then renamed:
whoever is killed in the middle leaves no half of it, and writing it twice does no harm.
"""

import os
import sys
from pathlib import Path

from aiodag import Limit, task

Pixels = list[bytes]  # a row each, three bytes for each pixel
SIZE = 40, 30  # of a thumbnail
COLUMNS = 3  # of a contact sheet
MADE = "made.txt"  # next to the albums: a line for each file that a task has made


def read_picture(path: Path) -> Pixels:
    """Return the pixels of a binary PPM file."""
    kind, size, depth, pixels = path.read_bytes().split(b"\n", 3)
    width, height = map(int, size.split())
    if (kind, depth, len(pixels)) != (b"P6", b"255", 3 * width * height):
        raise ValueError(f"{path} is no picture that this can read")
    return [pixels[3 * width * row : 3 * width * (row + 1)] for row in range(height)]


def write_picture(path: Path, picture: Pixels) -> None:
    """Write a binary PPM file, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(b"P6\n%d %d\n255\n" % (len(picture[0]) // 3, len(picture)) + b"".join(picture))
    draft.replace(path)


def shrink(picture: Pixels) -> Pixels:
    """Return a thumbnail: each of its pixels is the mean of those that it stands for."""
    width, height = len(picture[0]) // 3 // SIZE[0], len(picture) // SIZE[1]
    small = []
    for row in range(SIZE[1]):
        lines = picture[row * height : (row + 1) * height]
        cells = (
            sum(sum(line[3 * column * width + colour : 3 * (column + 1) * width : 3]) for line in lines)
            for column in range(SIZE[0])
            for colour in range(3)
        )
        small.append(bytes(total // (width * height) for total in cells))
    return small


def arrange(thumbnails: list[Pixels]) -> Pixels:
    """Return a contact sheet: thumbnails side by side, in rows."""
    blank = [bytes(3 * SIZE[0])] * SIZE[1]
    padded = thumbnails + [blank] * (-len(thumbnails) % COLUMNS)
    rows = [padded[start : start + COLUMNS] for start in range(0, len(padded), COLUMNS)]
    return [b"".join(lines) for row in rows for lines in zip(*row, strict=True)]


def note_made(path: Path) -> None:
    """Add a line to the list of what was made, and by which process."""
    album = path.parent.parent
    with (album.parent / MADE).open("a") as made:
        made.write(f"{album.name}/{path.name} {os.getpid()}\n")


@task(retries=2, limit=Limit(1))  # it computes: several threads of one process would only take turns
def thumbnail(picture: Path) -> Path:
    """Write the thumbnail of a picture, and return its path."""
    small = picture.parent / "small" / picture.name
    small.parent.mkdir(exist_ok=True)
    write_picture(small, shrink(read_picture(picture)))
    note_made(small)
    return small


@task
def contact_sheet(album: Path, thumbnails: list[Path]) -> Path:
    """Write the contact sheet of an album, and return its path."""
    sheet = album / "small" / "sheet.ppm"
    write_picture(sheet, arrange([read_picture(path) for path in thumbnails]))
    note_made(sheet)
    return sheet


@task
async def album(folder: str) -> Path:
    """Make all that an album needs; return the path of its sheet."""
    pictures = sorted(Path(folder).glob("*.ppm"))
    return await contact_sheet(Path(folder), thumbnail.map(pictures))


def main() -> None:
    """Run one of the functions as a program, and print the path of what it has made."""
    name, first, *others = sys.argv[1:]
    paths = [Path(each) for each in others]
    print(thumbnail.fn(Path(first)) if name == "thumbnail" else contact_sheet.fn(Path(first), paths))


if __name__ == "__main__":
    main()
