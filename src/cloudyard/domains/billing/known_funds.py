"""What payers were last seen to have: whether work may begin before the decision about its hold is known.

A hint, and never the decision: another process may have spent the credits. Whoever begins early asks afterwards.
"""

MANY_TIMES = 10
"""Work begins early only where the credits last seen would pay for it so many times."""
MOST_PAYERS = 10_000
"""So many are remembered, and of more those who paid last."""


class KnownFunds:
    """Nano-dollars of users, as of their last settlement here."""

    def __init__(self) -> None:
        self._left: dict[str, int] = {}

    def cover(self, user_id: str, nanos: int) -> bool:
        """Whether the user could surely set so much aside; what is covered counts as spent until more is learned."""
        left = self._left.get(user_id)
        if left is None or left < MANY_TIMES * nanos:
            return False
        self._left[user_id] = left - nanos
        return True

    def learn(self, user_id: str, left: int) -> None:
        """The user has so much left."""
        self.forget(user_id)
        if len(self._left) >= MOST_PAYERS:
            del self._left[next(iter(self._left))]
        self._left[user_id] = left

    def forget(self, user_id: str) -> None:
        """What was learned of the user turned out to be wrong."""
        self._left.pop(user_id, None)
