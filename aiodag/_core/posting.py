"""Tell a URL of a run: a small JSON, by POST."""

from typing import Any

from aiodag.errors import HookFailed, OptionError
from aiodag.secret import Secret

SECONDS = 10.0  # that a server may take for each step: to connect, to answer
WANTED = "a URL that begins with https:// or http://, without spaces, or a Secret that has one"


class HookPost:
    """The body of a hook that is a URL. The URL itself is shown nowhere: what gives access may be in its path."""

    def __init__(self, url: "str | Secret") -> None:
        self.url = url if isinstance(url, Secret) else checked_url("url", url)

    @property
    def host_alone(self) -> str:
        """The host alone; of a secret its name."""
        return f"secret {self.url.name}" if isinstance(self.url, Secret) else url_origin(self.url)

    def __call__(self, summary: Any, /) -> int:
        """Send a summary, and return the status of the answer. Raises `HookFailed`."""
        # Imported here: asyncio does not load these, and `import aiodag` loads nothing that asyncio does not.
        import json  # noqa: PLC0415 - see above
        from urllib.error import HTTPError  # noqa: PLC0415 - see above
        from urllib.request import Request, urlopen  # noqa: PLC0415 - see above

        url = checked_url("url", self.url.read()) if isinstance(self.url, Secret) else self.url
        content = json.dumps(summary._asdict()).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "aiodag"}
        try:
            with urlopen(Request(url, content, headers, method="POST"), timeout=SECONDS) as answer:  # noqa: S310 - checked
                return int(answer.status)
        except HTTPError as error:
            error.close()
            raise HookFailed(self.host_alone, f"answered {error.code} {error.reason}") from None
        except OSError as error:
            raise HookFailed(self.host_alone, f"cannot be reached: {getattr(error, 'reason', error)}") from None


def is_url(given: object) -> bool:
    """Return True for a URL to which something can be posted."""
    return isinstance(given, str) and given.startswith(("https://", "http://")) and url_origin(given) != ""


def checked_url(option: str, given: object) -> str:
    """Check a URL. Raises `OptionError`, which does not show it."""
    if is_url(given):
        return str(given)
    raise OptionError(option, type(given).__name__, WANTED)


def url_origin(url: str) -> str:
    """Return the scheme and the host of a URL, without names and passwords; nothing for what is not one.

    >>> url_origin("https://user:password@hooks.example.org:8443/T0/B1?key=x")
    'https://hooks.example.org:8443'
    """
    if not url.isprintable() or " " in url:
        return ""
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0].partition("?")[0].partition("#")[0].rpartition("@")[2]
    return f"{scheme}://{host}" if host else ""
