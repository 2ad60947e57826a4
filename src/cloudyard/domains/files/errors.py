"""What can go wrong with files."""

from cloudyard.foundation.errors import DomainError, ErrorKind


class FileNotFound(DomainError):
    """There is no such file, or it is not for this user to see."""

    code = "file_not_found"
    kind = ErrorKind.NOT_FOUND


class FileTooLarge(DomainError):
    """A file exceeds the size limit. Nothing was kept."""

    code = "file_too_large"
    kind = ErrorKind.TOO_LARGE


class QuotaExceeded(DomainError):
    """A file does not fit into what its owner may keep. Nothing was kept."""

    code = "storage_quota_exceeded"
    kind = ErrorKind.TOO_LARGE


class UploadLapsed(DomainError):
    """An upload stood still for so long that it was given up. Nothing was kept."""

    code = "upload_lapsed"
    kind = ErrorKind.TIMEOUT
