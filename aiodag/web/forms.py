"""What a form of a page has sent."""

from aiodag.web.fastapi import Request

FIELD_LARGEST = 2**24  # bytes of one field: as many as a body may have, which says so itself


async def form_sent(request: Request) -> dict[str, str]:
    """Return the texts of a form by the names of their fields, with line ends as everybody but a browser writes them.

    Files are left out. Of several fields of a name the last one counts.
    """
    form = await request.form(max_part_size=FIELD_LARGEST)
    return {name: text.replace("\r\n", "\n") for name, text in form.multi_items() if isinstance(text, str)}
