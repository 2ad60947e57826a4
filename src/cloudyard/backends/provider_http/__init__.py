"""A client for one kind of request: a POST to a model's server, over connections that are kept.

Every call that is charged passes through here, and every token that is streamed. What HTTP needs parsing for is done by
llhttp (through httptools); see docs/decisions/0013.
"""

from cloudyard.backends.provider_http.answer import Answer, BrokenConnection
from cloudyard.backends.provider_http.connections import Connections

__all__ = ["Answer", "BrokenConnection", "Connections"]
