"""Who did what to whom, and when: written with the act itself, never changed afterwards."""

from cloudyard.domains.audit.records import AuditEntry
from cloudyard.domains.audit.service import AuditLog

__all__ = ["AuditEntry", "AuditLog"]
