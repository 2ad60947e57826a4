"""What can go wrong when a model file is fetched."""

from cloudyard.foundation.errors import DomainError, ErrorKind


class ModelFetchFailed(DomainError):
    """A default model could not be brought to this machine."""

    code = "model_fetch_failed"
    kind = ErrorKind.UPSTREAM


class PackageIndexUnreachable(ModelFetchFailed):
    """There is no way from here to the Python package index."""

    code = "package_index_unreachable"
    kind = ErrorKind.UNAVAILABLE


class ModelHashMismatch(ModelFetchFailed):
    """A file is not the one that this release names: damaged, or replaced by somebody."""

    code = "model_hash_mismatch"


class NotEnoughDiskSpace(ModelFetchFailed):
    """The disk cannot hold the model."""

    code = "not_enough_disk_space"
    kind = ErrorKind.UNAVAILABLE


class ConverterMissing(ModelFetchFailed):
    """The packages that write a GGUF file are not installed."""

    code = "converter_missing"
    kind = ErrorKind.UNAVAILABLE
