"""Where the metadata documents of OAuth clients come from."""

from cloudyard.backends.client_documents.http import HttpClientDocuments

__all__ = ["HttpClientDocuments"]
