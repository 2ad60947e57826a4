"""Where a password is tried, nobody may try it uncounted."""

import pytest

from cloudyard.surfaces.aihub.policy import POLICY as AIHUB
from cloudyard.surfaces.neurogrid.policy import POLICY as NEUROGRID
from cloudyard.surfaces.oauth.policy import POLICY as OAUTH
from cloudyard.surfaces.pynode.policy import POLICY as PYNODE
from cloudyard.web.policy import SurfacePolicy

PASSWORDS_ARE_TRIED = [
    (PYNODE, "POST", "/api/auth/login"),
    (AIHUB, "POST", "/api/auth/login"),
    (AIHUB, "PUT", "/api/users/me/password"),
    (NEUROGRID, "POST", "/api/auth/login"),
    (OAUTH, "POST", "/authorize"),
]


@pytest.mark.parametrize(("policy", "method", "path"), PASSWORDS_ARE_TRIED)
def test_a_route_that_tries_passwords_is_guarded(policy: SurfacePolicy, method: str, path: str) -> None:
    assert policy.is_guarded(method, path)


@pytest.mark.parametrize("policy", [PYNODE, AIHUB, NEUROGRID], ids=lambda policy: policy.name)
def test_other_routes_are_served_while_nothing_can_be_counted(policy: SurfacePolicy) -> None:
    assert not policy.is_guarded("GET", "/api/users/me")
