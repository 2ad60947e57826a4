"""Settings -> backends -> services. The only place that knows concrete backends: a module an area, `opening` all."""

from cloudyard.wiring.opening import open_services
from cloudyard.wiring.services import Services

__all__ = ["Services", "open_services"]
