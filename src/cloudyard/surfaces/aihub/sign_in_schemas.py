"""The shapes of signing in through Google and other providers."""

from typing import Annotated

from pydantic import Field

from cloudyard.surfaces.aihub.schemas import Part, RequestBody


class ProviderView(Part):
    """A provider that people may choose. A browser goes to `path`, with the app's `redirect_uri`."""

    name: Annotated[str, Field(examples=["google"])]
    title: Annotated[str, Field(examples=["Google"])]
    path: Annotated[str, Field(examples=["/api/auth/google"])]


class CodeExchange(RequestBody):
    """The code that came with the user to the app's `redirect_uri`; the verifier of its challenge, if it sent one."""

    code: str
    code_verifier: str | None = None
