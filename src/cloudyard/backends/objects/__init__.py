"""Object stores: a directory of this machine, or a bucket of any S3-compatible service."""

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from cloudyard.backends.objects.local import LocalObjects
from cloudyard.backends.objects.obstore_store import ObstoreObjects
from cloudyard.backends.objects.s3 import S3Objects
from cloudyard.foundation.errors import FeatureUnavailable
from cloudyard.foundation.ids import Ids

__all__ = ["LocalObjects", "ObstoreObjects", "S3Objects", "open_object_store"]


def open_object_store(url: str, ids: Ids) -> ObstoreObjects:
    """The store at `file:///path` or `s3://bucket/prefix`. Raises `FeatureUnavailable` for anything else, and
    `PlaceUnusable` where the path cannot be a folder.

    A bucket's credentials, region and endpoint come from the usual variables (`AWS_ACCESS_KEY_ID`,
    `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, ...).
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path and not parts.netloc:
        return LocalObjects(Path(url2pathname(parts.path)), ids)
    if parts.scheme == "s3" and parts.netloc:
        return S3Objects(parts.netloc, parts.path.strip("/"), ids)
    raise FeatureUnavailable(
        f"The object store {url!r} cannot be used. Set CLOUDYARD_FILES__STORE to file:///path or s3://bucket/prefix."
    )
