"""pydantic, by which the server describes and checks what it is sent: the one file that imports it here. The extra `web`."""

from aiodag.errors import MissingExtra

try:
    from pydantic import AfterValidator as AfterValidator
    from pydantic import BaseModel as BaseModel
    from pydantic import BeforeValidator as BeforeValidator
    from pydantic import ConfigDict as ConfigDict
    from pydantic import Field as Field
    from pydantic import ValidationError as ValidationError
except ImportError as error:
    raise MissingExtra("aiodag serve", "pydantic", "web") from error
