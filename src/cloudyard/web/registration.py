"""Opening an account, as every surface does it: the user, and the welcome credits before the answer."""

from typing import Unpack

from cloudyard.domains.billing import Billing
from cloudyard.domains.identity import ProfileChanges, Role, User, Users


async def register(
    users: Users,
    billing: Billing,
    *,
    email: str,
    password: str,
    role: Role = Role.USER,
    **profile: Unpack[ProfileChanges],
) -> User:
    """Register a user whose wallet holds the welcome credits when the answer goes out.

    A crash between the two leaves no user without credits: the outbox gives them from the user's event, once.
    Raises `InvalidEmail`, `WeakPassword`, `InvalidProfile`, `RoleNotAllowed`, `EmailTaken`, `UsernameTaken`.
    """
    user = await users.register(email=email, password=password, role=role, **profile)
    await billing.welcome(user.id)
    return user
