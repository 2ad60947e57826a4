"""The books as a plain Python program would keep them: what the database must say after every step."""

from dataclasses import dataclass, field

from cloudyard.domains.billing import SpendCapReached
from cloudyard.domains.ledger import HoldNotOpen, IdempotencyConflict, InsufficientCredits

Refusal = type[Exception]


@dataclass
class User:
    """What a user has; the statement as kind, amount and what was owned afterwards; what each use came to."""

    wallet: int = 0
    held: int = 0
    lines: list[tuple[str, int, int]] = field(default_factory=list)
    usage: list[int] = field(default_factory=list)

    def change(self, kind: str, amount: int) -> None:
        """Gain or lose, with a line in the statement."""
        self.wallet += amount
        self.lines.append((kind, amount, self.wallet + self.held))


@dataclass
class Cap:
    """A spend cap."""

    limit: int
    spent: int = 0
    held: int = 0


@dataclass
class OpenCharge:
    """A hold that nobody ended yet."""

    user: str
    held: int
    cap: str | None
    expires: float


@dataclass
class BooksModel:
    """Every rule of the ledger in its simplest form. A method answers what the real thing must raise, or None."""

    hold_life: float
    caps: dict[str, Cap]
    users: dict[str, User] = field(default_factory=dict)
    charges: dict[str, OpenCharge] = field(default_factory=dict)
    keys: dict[str, tuple[str, int]] = field(default_factory=dict)
    revenue: int = 0
    now: float = 0

    def adjust(self, user: str, nanos: int, key: str | None) -> Refusal | None:
        """Add or take by hand."""
        if key is not None and key in self.keys:
            return None if self.keys[key] == (user, nanos) else IdempotencyConflict
        if self.users[user].wallet + nanos < 0:
            return InsufficientCredits
        if key is not None:
            self.keys[key] = (user, nanos)
        self.users[user].change("adjustment", nanos)
        return None

    def open(self, charge: str, user: str, amount: int, cap_name: str | None) -> Refusal | None:
        """Set aside."""
        cap = self.caps[cap_name] if cap_name is not None else None
        if cap is not None and cap.spent + cap.held + amount > cap.limit:
            return SpendCapReached
        if self.users[user].wallet < amount:
            return InsufficientCredits
        self.users[user].wallet -= amount
        self.users[user].held += amount
        if cap is not None:
            cap.held += amount
        self.charges[charge] = OpenCharge(user, amount, cap_name, self.now + self.hold_life)
        return None

    def end(self, charge: str, used: int | None) -> Refusal | None:
        """Capture what was used, as far as the hold goes, or give back where nothing was (None)."""
        ended = self.charges.pop(charge, None)
        if ended is None:
            return HoldNotOpen
        captured = min(used or 0, ended.held)
        user = self.users[ended.user]
        user.held -= ended.held
        user.wallet += ended.held
        if ended.cap is not None:
            self.caps[ended.cap].held -= ended.held
            self.caps[ended.cap].spent += captured
        if used is not None:
            user.usage.append(captured)
        if captured:
            user.change("usage", -captured)
            self.revenue += captured
        return None

    def expire(self) -> int:
        """Give back what is past its time; how many there were."""
        late = [charge for charge, held in self.charges.items() if held.expires < self.now]
        for charge in late:
            self.end(charge, None)
        return len(late)

    def extend(self, running: set[str]) -> None:
        """Holds of running calls begin their life again."""
        for charge in running & self.charges.keys():
            self.charges[charge].expires = self.now + self.hold_life
