"""What can go wrong when people sign in through somebody else."""

from cloudyard.foundation.errors import DomainError, ErrorKind, FeatureUnavailable


class SignInNotConfigured(FeatureUnavailable):
    """No provider of that name is set up; the message names the settings."""

    code = "sign_in_not_configured"


class RedirectUriNotAllowed(DomainError):
    """The address that the app wants its user sent back to is not on the list."""

    code = "redirect_uri_not_allowed"
    kind = ErrorKind.INVALID


class InvalidSignIn(DomainError):
    """Nobody began this sign-in here, it was finished before, or it was begun in another browser."""

    code = "invalid_sign_in"
    kind = ErrorKind.INVALID


class SignInExpired(DomainError):
    """The person took too long at the provider."""

    code = "sign_in_expired"
    kind = ErrorKind.INVALID


class SignInDeclined(DomainError):
    """The person said no at the provider, or the provider did."""

    code = "access_denied"
    kind = ErrorKind.FORBIDDEN


class InvalidSignInCode(DomainError):
    """The code that an app trades for a session is unknown, used, or past its time."""

    code = "invalid_sign_in_code"
    kind = ErrorKind.UNAUTHENTICATED


class IdentityProviderUnavailable(DomainError):
    """The provider cannot be reached, or does not answer in time."""

    code = "identity_provider_unavailable"
    kind = ErrorKind.UNAVAILABLE


class IdentityProviderRefused(DomainError):
    """The provider refuses a request of ours, or answers what cannot be trusted."""

    code = "identity_provider_refused"
    kind = ErrorKind.UPSTREAM


class ProviderEmailNotVerified(DomainError):
    """The provider gives no e-mail address, or does not vouch for it."""

    code = "provider_email_not_verified"
    kind = ErrorKind.FORBIDDEN


class AccountEmailNotVerified(DomainError):
    """There is an account with the address, but nobody ever proved that it is theirs."""

    code = "account_email_not_verified"
    kind = ErrorKind.CONFLICT
