"""Signing in through an identity provider (OpenID Connect Core, section 3.1; RFC 9700).

begin       the browser leaves for the provider, with a state, a nonce and a PKCE challenge
resume      it is back: the state is used up, and it must be the browser that left
complete    the provider says who it is; the app gets a code for that
exchange    the app trades its code for a session
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy.exc import IntegrityError

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.identity import repository
from cloudyard.domains.identity.delegations import is_challenge
from cloudyard.domains.identity.errors import InvalidCredentials
from cloudyard.domains.identity.external_accounts import Admission, ExternalAccounts
from cloudyard.domains.identity.federation_errors import (
    IdentityProviderRefused,
    InvalidSignIn,
    InvalidSignInCode,
    RedirectUriNotAllowed,
    SignInDeclined,
    SignInExpired,
    SignInNotConfigured,
)
from cloudyard.domains.identity.hashing import secret_hash
from cloudyard.domains.identity.ports import ExternalPerson, IdentityProvider
from cloudyard.domains.identity.records import TokenPair, User
from cloudyard.domains.identity.sessions import Sessions
from cloudyard.domains.identity.sign_in_attempts import ATTEMPT_LIFE, Attempt, Departure, SignInAttempts, Wish
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.errors import DomainError, ErrorKind, InvalidInput
from cloudyard.foundation.ids import Ids

log = structlog.get_logger(__name__)

LONGEST_STATE = 1000
TRIES = 3
DECLINED = "access_denied"
_ERROR_CODE = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True, slots=True)
class ProviderLine:
    """A provider that people may choose."""

    name: str
    title: str


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """What a browser brings back from its provider: a code or an error, and perhaps who gave it (RFC 9207)."""

    code: str | None = None
    error: str | None = None
    issuer: str | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody who is known now. The app trades `code` for a session; `created` tells a new account."""

    user: User
    created: bool
    code: str


class Federation:
    """Sign-in through the providers that were configured."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        audit: AuditLog,
        attempts: SignInAttempts,
        accounts: ExternalAccounts,
        sessions: Sessions,
        providers: Mapping[str, IdentityProvider],
        redirect_uris: Collection[str],
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._audit = audit
        self._attempts = attempts
        self._accounts = accounts
        self._sessions = sessions
        self._providers = providers
        self._redirect_uris = frozenset(redirect_uris)

    def providers(self) -> Sequence[ProviderLine]:
        """The providers there are."""
        return [ProviderLine(name, provider.title) for name, provider in self._providers.items()]

    def check(self, provider: str, wish: Wish) -> None:
        """Whether an app may have its user sent there and back at all. What it says is compared letter by letter.

        Raises `SignInNotConfigured`, `RedirectUriNotAllowed`, and `InvalidInput` for its state or challenge.
        """
        self._provider(provider)
        if wish.redirect_uri not in self._redirect_uris:
            raise RedirectUriNotAllowed(
                "Users may not be sent to this `redirect_uri`: it is not on the list of this installation, letter by "
                "letter. Use one that is, or have an administrator add it to sign_in.redirect_uris.",
                field="redirect_uri",
            )
        if wish.state is not None and not (len(wish.state) <= LONGEST_STATE and wish.state.isprintable()):
            raise InvalidInput(f"`state` has at most {LONGEST_STATE} printable characters.", field="state")
        if wish.challenge is not None and not is_challenge(wish.challenge):
            raise InvalidInput(
                "`code_challenge` is the SHA-256 of the verifier in 43 characters of base64url (RFC 7636, S256).",
                field="code_challenge",
            )

    async def begin(self, provider: str, wish: Wish) -> Departure:
        """Send a browser to a provider.

        Raises what `check` raises, `IdentityProviderUnavailable` and `IdentityProviderRefused`.
        """
        self.check(provider, wish)
        state, browser, secrets = self._ids.token(), self._ids.token(), self._attempts.new_secrets()
        url = await self._provider(provider).authorization_url(
            callback_url=wish.callback_url, state=state, nonce=secrets.nonce, code_challenge=secrets.challenge
        )
        async with self._database.transaction() as tx:
            await self._attempts.add(tx, provider, wish, secrets, state=state, browser=browser)
        return Departure(url, state, browser, int(ATTEMPT_LIFE.total_seconds()))

    async def resume(self, provider: str, state: str | None, browser: str | None) -> Attempt:
        """The sign-in that a browser comes back from; its state is good once. Raises `InvalidSignIn`."""
        attempt = None
        if state is not None:
            async with self._database.transaction() as tx:
                attempt = await self._attempts.take(tx, state)
        if attempt is None or attempt.provider != provider:
            raise InvalidSignIn(
                "This sign-in is not known here: it was finished before, took too long, or never began. Start again."
            )
        if browser is None or secret_hash(browser) != attempt.browser_hash:
            log.warning("sign-in refused: it came back in another browser", provider=provider)
            raise InvalidSignIn(
                "This sign-in began in another browser, or this one keeps no cookies. Start again in this browser, at "
                "the address under which the provider sends it back."
            )
        return attempt

    async def complete(self, attempt: Attempt, answer: ProviderAnswer) -> Arrival:
        """Find out who it is, and let them in.

        Raises `SignInExpired`, `SignInDeclined`, what `IdentityProvider.redeem` raises, and what
        `ExternalAccounts.admit` raises, except that losing a race is tried again.
        """
        try:
            person = await self._person(attempt, answer)
            return await self._let_in(attempt, person)
        except DomainError as error:
            await self._note_refusal(attempt, error)
            raise

    async def exchange(self, code: str, *, verifier: str | None = None, client: str | None = None) -> TokenPair:
        """Trade a code for a session. A code is good once, for a minute.

        Raises `InvalidSignInCode`, `AccountSuspended`, `EmailNotVerified`.
        """
        async with self._database.transaction() as tx:
            user_id = await self._attempts.take_code(tx, code, verifier)
            account = await repository.get_account(tx, user_id) if user_id is not None else None
        if account is None:
            raise _bad_code()
        try:
            return await self._sessions.start_unchanged(account, client=client)
        except InvalidCredentials as error:  # a new password, a moment ago, ends what was begun before it
            raise _bad_code() from error

    def _provider(self, name: str) -> IdentityProvider:
        found = self._providers.get(name)
        if found is None:
            setting = f"sign_in.providers.{name}"
            raise SignInNotConfigured(
                f"Nobody can sign in through {name!r} here. Set {setting}.client_id and {setting}.client_secret "
                f"(CLOUDYARD_SIGN_IN__PROVIDERS__{name.upper()}__CLIENT_ID and ..._CLIENT_SECRET), for any but Google "
                "its issuer too, and the addresses of your apps in sign_in.redirect_uris."
            )
        return found

    async def _person(self, attempt: Attempt, answer: ProviderAnswer) -> ExternalPerson:
        provider = self._provider(attempt.provider)
        if attempt.expires_at <= self._clock.now():
            raise SignInExpired(f"Signing in with {provider.title} took too long. Start again.")
        if answer.error == DECLINED:
            raise SignInDeclined(f"You were not signed in: you or {provider.title} said no. Start again if you wish.")
        if answer.error is not None or answer.code is None:
            shown = answer.error if answer.error and _ERROR_CODE.fullmatch(answer.error) else "no code"
            raise IdentityProviderRefused(f"{provider.title} did not sign you in ({shown}). Start again.")
        return await provider.redeem(
            answer.code,
            issuer=answer.issuer,
            callback_url=attempt.wish.callback_url,
            nonce=attempt.secrets.nonce,
            code_verifier=attempt.secrets.code_verifier,
        )

    async def _let_in(self, attempt: Attempt, person: ExternalPerson) -> Arrival:
        work = partial(self._admitted, attempt, person)
        for _ in range(TRIES - 1):
            try:
                return await self._database.transact(work)
            except IntegrityError:
                continue  # the same person, or one with the same address, was let in meanwhile
        return await self._database.transact(work)

    async def _admitted(self, attempt: Attempt, person: ExternalPerson, tx: Transaction) -> Arrival:
        title = self._provider(attempt.provider).title
        admission: Admission = await self._accounts.admit(tx, attempt.provider, title, person)
        code = await self._attempts.add_code(tx, admission.user.id, attempt.wish.challenge)
        user = admission.user
        await self._audit.record(tx, user.id, "identity.used", f"user:{user.id}", {"provider": attempt.provider})
        return Arrival(user, admission.created, code)

    async def _note_refusal(self, attempt: Attempt, error: DomainError) -> None:
        log.info("sign-in refused", provider=attempt.provider, code=error.code, reason=str(error))
        if error.kind in (ErrorKind.UNAVAILABLE, ErrorKind.INTERNAL):
            return
        async with self._database.transaction() as tx:
            details = {"reason": error.code}
            await self._audit.record(tx, None, "sign_in.refused", f"provider:{attempt.provider}", details)


def _bad_code() -> InvalidSignInCode:
    return InvalidSignInCode(
        "This code is not good: it was used before, is more than a minute old, belongs to another `code_verifier`, or "
        "the account was changed since. Sign in again.",
        field="code",
    )
