"""Objects in a bucket of S3 or of anything that speaks its protocol."""

import os
from datetime import timedelta

from obstore.store import S3Store

from cloudyard.backends.objects.obstore_store import ObstoreObjects
from cloudyard.foundation.ids import Ids

PART_BYTES = 8 * 1024 * 1024  # S3 allows 10,000 parts, so 80 GB an object
PARALLEL_PARTS = 2
REQUEST_TIMEOUT = timedelta(seconds=30)
CONNECT_TIMEOUT = timedelta(seconds=5)
RETRY_TIMEOUT = timedelta(seconds=20)
RETRIES = 3


class S3Objects(ObstoreObjects):
    """A bucket.

    Parts of an upload that our process did not live to abort, and those that were under way when it was aborted,
    are for S3 to remove: give the bucket a lifecycle rule with AbortIncompleteMultipartUpload.
    Plain HTTP is used only where the endpoint that is set says `http://`.
    """

    def __init__(self, bucket: str, prefix: str, ids: Ids) -> None:
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        store = S3Store(
            bucket,
            prefix=prefix or None,
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "timeout": REQUEST_TIMEOUT,
                "connect_timeout": CONNECT_TIMEOUT,
            },
            retry_config={"max_retries": RETRIES, "retry_timeout": RETRY_TIMEOUT},
        )
        super().__init__(store, ids, part_bytes=PART_BYTES, parallel_parts=PARALLEL_PARTS)
