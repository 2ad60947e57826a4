"""`cloudyard serve`."""

import asyncio
from contextlib import nullcontext
from typing import Annotated, Any

import typer
import uvloop

from cloudyard.entrypoints.banner import banner
from cloudyard.entrypoints.commands.options import DataDir, settings_for
from cloudyard.entrypoints.server import serve as run_server
from cloudyard.entrypoints.stripe_stand_in import StandIn, stripe_stand_in
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.settings import Profile, Settings

app = typer.Typer(add_completion=False)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port of all surfaces; 0 takes a free one.  [default: 8000]")] = None,
    classic_ports: Annotated[
        bool | None, typer.Option("--classic-ports", help="Also open the port that each published document names.")
    ] = None,
    profile: Annotated[
        Profile | None, typer.Option(help="How careful the defaults are.  [default: production]", show_choices=True)
    ] = None,
    stand_in: Annotated[
        bool,
        typer.Option(
            "--stripe-stand-in",
            help="Sell credits through a stand-in of Stripe on this machine, unless a key is set. In development only.",
        ),
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Run the server until it is told to stop (Ctrl-C, SIGTERM); it then finishes the answers it has begun.

    Options win over the environment, and that over `cloudyard.toml`. The log goes to standard error.
    """
    server = {"host": host, "port": port, "classic_ports": classic_ports}
    overrides: dict[str, Any] = {"server": {name: value for name, value in server.items() if value is not None}}
    if profile is not None:
        overrides["profile"] = profile
    settings = settings_for(data_dir, **overrides)
    with stripe_stand_in(settings, SystemIds()) if stand_in else nullcontext() as stripe:
        _serve(stripe.configure(settings) if stripe else settings, stripe)


def _serve(settings: Settings, stripe: StandIn | None) -> None:
    def ready(url: str) -> None:
        if stripe is not None:
            stripe.tell_server(url)
        typer.echo(banner(settings, url, stripe.url if stripe else None))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_server(settings, ready))
