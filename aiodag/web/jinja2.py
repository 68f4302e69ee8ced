"""Templates of the page, with Jinja2: the extra `web`."""

from collections.abc import Callable, Mapping
from typing import Any

from aiodag.errors import MissingExtra

try:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup
except ImportError as error:
    raise MissingExtra("aiodag serve", "jinja2", "web") from error


class Templates:
    """The templates of a package, in which every text is escaped: only what is made by `mark_safe` is taken as it is."""

    def __init__(self, package: str, filters: Mapping[str, Callable[..., Any]], words: Mapping[str, Any]) -> None:
        self._environment = Environment(
            loader=PackageLoader(package),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(filters)
        self._environment.globals.update(words)

    def render(self, name: str, words: Mapping[str, Any]) -> str:
        """Return the text of a template, filled with words. Lone surrogates, which have no encoding, become U+FFFD."""
        text = self._environment.get_template(name).render(words)
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def mark_safe(drawing: str) -> Markup:
    """Return a drawing of our own as what needs no escaping: its texts are escaped already."""
    return Markup(drawing)  # noqa: S704 - only drawings of aiodag.pictures come here
