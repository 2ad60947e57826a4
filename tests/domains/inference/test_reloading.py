"""What one process adds to catalogue and price book, and a running server learns of."""

from pathlib import Path

from cloudyard.domains.billing import Meter, PriceLine, PriceMissing
from cloudyard.domains.inference import ModelNotFound
from cloudyard.foundation.settings import Settings
from cloudyard.foundation.settings.inference import DeploymentSettings, InferenceSettings, ModelSettings
from cloudyard.testing.tables import create_tables
from cloudyard.testing.waiting import eventually
from cloudyard.wiring import Services, open_services

ADDED = ModelSettings(
    deployments=[DeploymentSettings(name="there", kind="openai", base_url="http://127.0.0.1:9/v1")], context_length=77
)


async def known(services: Services) -> tuple[int, int] | None:
    """Context length and price of the added model, as a call would find them."""
    try:
        model = services.catalogue.find("added")
        line = services.prices.current(model.sku).line(Meter.CALL)
    except (ModelNotFound, PriceMissing):
        return None
    return (model.context_length, line.nanos) if line else None


async def test_a_running_server_learns_of_models_and_prices(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, inference=InferenceSettings(default_models=False))
    async with open_services(settings) as server, open_services(settings) as command:
        await create_tables(server.database)
        await server.load()
        server.background.start()
        assert await known(server) is None

        await command.prices.publish("model:added", [PriceLine(Meter.CALL, 5)])
        await command.catalogue.add("added", ADDED)
        await eventually(lambda: known(server), lambda found: found == (77, 5))

        await command.prices.publish("model:added", [PriceLine(Meter.CALL, 6)])
        await eventually(lambda: known(server), lambda found: found == (77, 6))

        await command.catalogue.remove("added")
        await eventually(lambda: known(server), lambda found: found is None)
        await server.stop()
        await command.stop()
