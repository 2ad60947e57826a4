"""What was said before: a user's chat history, and responses that a later request may continue."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from cloudyard.domains.billing.batch import Write
from cloudyard.domains.inference.errors import ConversationNotFound
from cloudyard.domains.inference.models import chat_turns, stored_responses
from cloudyard.domains.inference.records import StoredResponse, Turn
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database
from cloudyard.foundation.ids import Ids


class Conversations:
    """Chat turns and stored responses, each its owner's alone."""

    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids

    def new_turn(self, user_id: str, *, message: str, response: str, model: str) -> tuple[Turn, Write]:
        """A turn, and the write that keeps it (to run in the transaction that charges for it)."""
        response = response.replace("\x00", "\ufffd")  # no database keeps a NUL, and a model may write one
        turn = Turn(self._ids.new(), user_id, message, response, model, self._clock.now())
        values = {
            "id": turn.id,
            "user_id": user_id,
            "message": message,
            "response": response,
            "model": model,
            "created_at": turn.created_at,
        }

        def write(connection: Connection) -> None:
            connection.execute(insert(chat_turns).values(**values))

        return turn, write

    async def turns(self, user_id: str, *, limit: int, offset: int) -> tuple[Sequence[Turn], int]:
        """A page of a user's turns, newest first, and how many there are."""
        mine = chat_turns.c.user_id == user_id
        page = select(chat_turns).where(mine).order_by(chat_turns.c.number.desc()).limit(limit).offset(offset)
        async with self._database.reading() as tx:
            total = await tx.scalar(select(func.count()).select_from(chat_turns).where(mine))
            rows = await tx.all(page)
        turns = [Turn(row.id, row.user_id, row.message, row.response, row.model, row.created_at) for row in rows]
        return turns, int(total or 0)

    def keep_response(
        self, response_id: str, user_id: str, *, model: str, messages: Sequence[dict[str, Any]], body: dict[str, Any]
    ) -> Write:
        """The write that keeps a response with the whole conversation that led to it."""
        values = {
            "id": response_id,
            "user_id": user_id,
            "model": model,
            "messages": list(messages),
            "body": body,
            "created_at": self._clock.now(),
        }

        def write(connection: Connection) -> None:
            connection.execute(insert(stored_responses).values(**values))

        return write

    async def response(self, user_id: str, response_id: str, *, field: str = "response_id") -> StoredResponse:
        """A stored response. Raises `ConversationNotFound`, which names `field`."""
        async with self._database.reading() as tx:
            row = await tx.first(
                select(stored_responses).where(
                    stored_responses.c.id == response_id, stored_responses.c.user_id == user_id
                )
            )
        if row is None:
            raise ConversationNotFound(f"There is no stored response {response_id}.", field=field)
        return StoredResponse(row.id, row.user_id, row.model, row.messages, row.body, row.created_at)

    async def forget_response(self, user_id: str, response_id: str) -> None:
        """Delete a stored response. Raises `ConversationNotFound`."""
        async with self._database.transaction() as tx:
            result = await tx.execute(
                delete(stored_responses).where(
                    stored_responses.c.id == response_id, stored_responses.c.user_id == user_id
                )
            )
        if result.rowcount == 0:
            raise ConversationNotFound(f"There is no stored response {response_id}.", field="response_id")
