"""Where uploaded files go and how large they may be."""

from pydantic import Field

from cloudyard.foundation.settings.area import Area


class FileSettings(Area):
    """Uploaded files."""

    store: str | None = Field(None, description="`file:///path` or `s3://bucket/prefix`; default: data_dir/objects.")
    max_file_bytes: int = Field(512 * 1024 * 1024, gt=0, description="Largest file, in bytes.")
    user_quota_bytes: int = Field(5 * 1024 * 1024 * 1024, gt=0, description="Bytes one user may keep.")
