"""Files that users keep: streamed in and out, checked, counted, and never trusted."""

from cloudyard.domains.files.content_types import content_type_of, is_passive
from cloudyard.domains.files.errors import FileNotFound, FileTooLarge, QuotaExceeded, UploadLapsed
from cloudyard.domains.files.jobs import FileReconciler
from cloudyard.domains.files.names import safe_filename
from cloudyard.domains.files.ports import ObjectMissing, ObjectStore, ObjectStoreUnavailable
from cloudyard.domains.files.records import FileDetails, FileRecord, FileUsage, StagedFile
from cloudyard.domains.files.service import Files

__all__ = [
    "FileDetails",
    "FileNotFound",
    "FileReconciler",
    "FileRecord",
    "FileTooLarge",
    "FileUsage",
    "Files",
    "ObjectMissing",
    "ObjectStore",
    "ObjectStoreUnavailable",
    "QuotaExceeded",
    "StagedFile",
    "UploadLapsed",
    "content_type_of",
    "is_passive",
    "safe_filename",
]
