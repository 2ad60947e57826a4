"""Headers that several routes take."""

from typing import Annotated

from fastapi import Header

IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", description="The same key and body get the same answer, once.")
]
