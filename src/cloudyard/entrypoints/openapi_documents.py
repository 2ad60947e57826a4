"""The OpenAPI documents of all surfaces, as they are kept in the repository."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cloudyard.entrypoints.readiness import readiness
from cloudyard.entrypoints.surfaces import build_surfaces
from cloudyard.foundation.settings import Settings
from cloudyard.wiring import open_services


async def openapi_documents() -> Mapping[str, str]:
    """File name -> content. The documents do not depend on this machine's settings or data."""
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings.model_construct(data_dir=Path(directory))
        async with open_services(settings) as services:
            surfaces = build_surfaces(services, readiness(services), services.clock.monotonic)
            return {
                f"{surface.policy.name}.openapi.json": json.dumps(surface.openapi(), indent=2, ensure_ascii=False)
                + "\n"
                for surface in surfaces
            }
