"""What the audit log hands out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One act. `actor` is a user's id, or None where the platform or an unknown caller acted.

    `subject` is what was acted upon (`user:<id>`, `api_key:<id>`, ...); `details` never hold a secret.
    """

    id: int
    at: datetime
    actor: str | None
    action: str
    subject: str
    details: Mapping[str, Any]
