"""`cloudyard serve`."""

import asyncio
from typing import Annotated, Any

import typer
import uvloop

from cloudyard.entrypoints.banner import banner
from cloudyard.entrypoints.commands.options import DataDir, settings_for
from cloudyard.entrypoints.server import serve as run_server
from cloudyard.foundation.settings import Profile

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
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_server(settings, lambda url: typer.echo(banner(settings, url))))
