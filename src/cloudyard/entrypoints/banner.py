"""What a server says of itself when it starts, for people: where it is, and what its profile implies."""

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from sqlalchemy import make_url

from cloudyard import __version__
from cloudyard.backends.model_store.catalogue_entries import document_aliases
from cloudyard.foundation.settings import Settings

PROFILES = {
    True: "development profile: convenient on one's own machine, not meant for an open network",
    False: "production profile: nothing is mapped or made easy behind your back",
}


def banner(settings: Settings, url: str) -> RenderableType:
    """The start-up notice of a server that is reached at `url`. Shows no secret."""
    title = Text.assemble(("Cloudyard ", "bold"), (__version__, "bold"), f"  {PROFILES[settings.development]}")
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold")
    for name, value in _facts(settings, url).items():
        facts.add_row(f"  {name}", value)
    return Group(title, facts)


def _facts(settings: Settings, url: str) -> Mapping[str, str]:
    return {
        "address": f"{url}  ({_reach(settings.server.host)})",
        "data": str(settings.data_dir.resolve()),
        "database": make_url(settings.database_url).render_as_string(hide_password=True),
        "mail": _mail(settings),
        "model names": _names(settings),
    }


def _reach(host: str) -> str:
    return "this machine only" if host in ("127.0.0.1", "::1", "localhost") else "reachable from the network"


def _mail(settings: Settings) -> str:
    if settings.mail.backend == "smtp":
        return f"sent through {settings.mail.smtp_host}:{settings.mail.smtp_port}"
    return f"not sent: written to {settings.data_dir.resolve() / 'mail'}"


def _names(settings: Settings) -> str:
    aliases = document_aliases(settings)
    if not aliases:
        return "only those of the catalogue"
    others = {model: [alias for alias, of in aliases.items() if of == model] for model in aliases.values()}
    return "\n".join(f"{', '.join(names)} stand for {model}" for model, names in others.items())
