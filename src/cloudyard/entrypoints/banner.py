"""What a server says of itself when it starts, for people: where it is, and what its profile implies."""

from collections.abc import Iterator

from cloudyard import __version__
from cloudyard.backends.model_store.catalogue_entries import document_aliases
from cloudyard.entrypoints.surfaces import CLASSIC_PORTS
from cloudyard.foundation.database.address import database_address
from cloudyard.foundation.settings import Settings

DEVELOPMENT = "development profile: made easy for one's own machine, not meant for an open network"
NO_MAIL = "none: passwords cannot be reset and addresses not be verified until mail.backend is set"
NO_PAYMENTS = "none: nothing can be bought until payments.stripe_key is set; an administrator can grant credits"
TEST_KEYS = ("sk_test_", "rk_test_")
PRODUCTION = "production profile: nothing is made easy behind your back"


def banner(settings: Settings, url: str, stand_in: str | None = None) -> str:
    """The start-up notice of a server that is reached at `url`. Shows no secret.

    `stand_in` is where a stand-in of Stripe takes the payments, if one does.
    """
    profile = DEVELOPMENT if settings.development else PRODUCTION
    facts = _facts(settings, url, stand_in)
    lines = [f"Cloudyard {__version__}, {profile}", *(f"  {name:<10}{value}" for name, value in facts)]
    return "\n".join(lines)


def _facts(settings: Settings, url: str, stand_in: str | None) -> Iterator[tuple[str, str]]:
    reach = "this machine only" if settings.server.host in ("127.0.0.1", "::1", "localhost") else "open to the network"
    yield "address", f"{url}  ({reach})"
    if settings.server.classic_ports:
        yield "ports", ", ".join(f"{surface} {port}" for port, surface in CLASSIC_PORTS.items())
    yield "data", str(settings.data_dir.resolve())
    yield "database", database_address(settings.database_url).render_as_string(hide_password=True)
    yield "mail", _mail(settings)
    for line in _payments(settings, stand_in):
        yield "payments", line
    aliases = document_aliases(settings)
    for model in dict.fromkeys(aliases.values()):
        names = ", ".join(alias for alias, of in aliases.items() if of == model)
        yield "models", f"{names} stand for {model}"


def _mail(settings: Settings) -> str:
    match settings.mail_backend:
        case "smtp":
            return f"sent through {settings.mail.smtp_host}:{settings.mail.smtp_port}"
        case "file":
            return f"not sent, but written to {settings.data_dir.resolve() / 'mail'}"
        case "none":
            return NO_MAIL


def _payments(settings: Settings, stand_in: str | None) -> Iterator[str]:
    key = settings.payments.stripe_key
    if stand_in is not None:
        yield f"a stand-in of Stripe, {stand_in}: no money moves, and it forgets everything when it ends"
        yield "to use Stripe's test mode instead, set CLOUDYARD_PAYMENTS__STRIPE_KEY=sk_test_... and start again"
    elif key is None:
        yield NO_PAYMENTS
    else:
        testing = key.get_secret_value().startswith(TEST_KEYS)
        yield f"through Stripe, {'in its test mode: no money moves' if testing else 'for real money'}"
