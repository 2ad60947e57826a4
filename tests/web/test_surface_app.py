"""What a surface's FastAPI app brings along: errors, paging, documents."""

import json
from typing import Annotated, Any

import pytest
import yaml
from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, Field
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from cloudyard.domains.identity import EmailTaken, Scope
from cloudyard.foundation.errors import FeatureUnavailable
from cloudyard.web.authentication import CurrentAccount, require_scope
from cloudyard.web.documents import DOCS_CONTENT_POLICY, DocumentPaths
from cloudyard.web.errors import MethodNotAllowed, ProblemRenderer, StatusTable, as_domain_error, issues_of
from cloudyard.web.paging import Page, Window, page, window
from cloudyard.web.policy import SurfacePolicy
from cloudyard.web.surface_app import new_surface_app

POLICY = SurfacePolicy(name="probe", title="Probe <API>", prefix="/probe", version="1.2.3")


class Item(BaseModel):
    name: str
    amount: int = Field(gt=0)
    inner: list["Item"] = []


def client_of(documents: DocumentPaths | None = None) -> TestClient:
    app = new_surface_app(POLICY, ProblemRenderer(), services=None, description="A probe.", documents=documents)

    @app.post("/items")
    async def create_item(item: Item) -> Item:
        return item

    @app.get("/window")
    async def read_window(at: Annotated[Window, Depends(window(default=50, most=200))]) -> dict[str, int]:
        return {"limit": at.limit, "offset": at.offset}

    @app.get("/page")
    async def read_page(at: Annotated[Page, Depends(page(default=20, most=100))]) -> dict[str, int]:
        return {"page": at.page, "limit": at.limit, "offset": at.offset, "pages_of_41": at.pages(41)}

    @app.get("/taken")
    async def taken() -> None:
        raise EmailTaken("Somebody has it.", field="email")

    @app.get("/kept-back")
    async def keeps_back() -> None:
        raise FeatureUnavailable("It is away.", for_operators="at 10.0.0.7")

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout", headers={"X-Pot": "tea"})

    @app.get("/mine")
    async def mine(_caller: CurrentAccount, _same: Annotated[Any, Depends(require_scope(Scope.WALLET))]) -> None:
        return

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("state", {}).update(request_id="r-1", principal=None, credential_error=None)
        await app({**scope, "root_path": "/probe", "path": "/probe" + scope["path"]}, receive, send)

    return TestClient(mounted)


@pytest.fixture
def client() -> TestClient:
    return client_of()


def test_every_fault_of_a_body_is_named(client: TestClient) -> None:
    answer = client.post("/items", json={"amount": 0, "inner": [{"name": 5, "amount": 1}]})
    assert answer.status_code == 400
    assert [e["field"] for e in answer.json()["errors"]] == ["name", "amount", "inner.0.name"]
    assert all(e["message"] for e in answer.json()["errors"])


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "route_not_found"),
        ("DELETE", "/items", 405, "method_not_allowed"),
        ("GET", "/taken", 409, "email_taken"),
        ("GET", "/teapot", 400, "malformed_request"),
        ("GET", "/items/", 404, "route_not_found"),
        ("GET", "/mine", 401, "authentication_required"),
    ],
)
def test_failures_of_the_framework_have_our_shape(
    client: TestClient, method: str, path: str, status: int, code: str
) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_what_is_for_operators_is_logged_and_not_told(client: TestClient) -> None:
    with capture_logs() as logs:
        answer = client.get("/kept-back")
    assert (answer.status_code, answer.json()["detail"]) == (503, "It is away.")
    assert "10.0.0.7" not in answer.text
    assert [line["reason"] for line in logs] == ["It is away. (at 10.0.0.7)"]


def test_headers_of_a_failure_are_kept(client: TestClient) -> None:
    assert client.delete("/items").headers["allow"] == "POST"
    assert client.get("/teapot").headers["x-pot"] == "tea"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"limit": 50, "offset": 0}),
        ("?limit=1&offset=7", {"limit": 1, "offset": 7}),
        ("?limit=200", {"limit": 200, "offset": 0}),
    ],
)
def test_windows(client: TestClient, query: str, expected: dict[str, int]) -> None:
    assert client.get("/window" + query).json() == expected


def test_pages(client: TestClient) -> None:
    assert client.get("/page?page=3").json() == {"page": 3, "limit": 20, "offset": 40, "pages_of_41": 3}


@pytest.mark.parametrize(
    "query",
    ["/window?limit=0", "/window?limit=201", "/window?offset=-1", "/window?offset=99999999999999999999",
     "/window?limit=many", "/page?page=0", "/page?page=-1", "/page?limit=101", "/page?page=99999999999"],
)  # fmt: skip
def test_bad_paging_is_refused(client: TestClient, query: str) -> None:
    answer = client.get(query)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] in ("limit", "offset", "page")


def test_the_description_is_served_as_json_and_yaml(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert described["info"] == {"title": "Probe <API>", "description": "A probe.", "version": "1.2.3"}
    assert described["servers"] == [{"url": "/probe"}]
    assert described["paths"]["/items"]["post"]["operationId"] == "create_item"
    as_yaml = client.get("/openapi.yaml")
    assert as_yaml.headers["content-type"].startswith("application/yaml")
    assert yaml.safe_load(as_yaml.text) == described


def test_the_documentation_page_works_without_the_internet(client: TestClient) -> None:
    answer = client.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-security-policy"] == DOCS_CONTENT_POLICY
    assert "Probe &lt;API&gt; - Swagger UI" in answer.text
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    for asset, beginning in (("swagger-ui-bundle.js", 1_000_000), ("swagger-ui.css", 100_000), ("favicon.png", 100)):
        assert f"/probe/docs/assets/{asset}" in answer.text
        assert len(client.get(f"/docs/assets/{asset}").content) > beginning
    assert '"/probe/openapi.json"' in client.get("/docs/assets/start.js").text
    assert client.get("/docs/assets/secrets.txt").status_code == 404


def test_the_documents_may_lie_elsewhere() -> None:
    client = client_of(DocumentPaths(page="/api-docs", json="/api-docs.json", yaml=None))
    assert client.get("/api-docs").status_code == 200
    assert json.loads(client.get("/api-docs.json").text)["info"]["version"] == "1.2.3"
    assert client.get("/openapi.yaml").status_code == 404
    assert DocumentPaths(yaml=None).all() == ("/docs", "/openapi.json")


def test_a_surface_may_have_statuses_of_its_own() -> None:
    table = StatusTable({EmailTaken.kind: 400}, {"method_not_allowed": 404})
    assert table(EmailTaken("x")) == 400
    assert table(MethodNotAllowed("x")) == 404
    assert StatusTable()(EmailTaken("x")) == 409
    assert issues_of(EmailTaken("x", field="email"))[0].field == "email"
    assert issues_of(EmailTaken("x")) == ()


def test_a_server_fault_of_the_framework_is_one_of_ours() -> None:
    assert as_domain_error(HTTPException(500, "inside")).message != "inside"
    assert as_domain_error(HTTPException(413, "10 bytes")).code == "body_too_large"


def test_a_router_that_would_read_json_laxly_is_not_taken_in() -> None:
    app = new_surface_app(POLICY, ProblemRenderer(), services=None, description="")
    lax = APIRouter()

    @lax.post("/items")
    async def create_item(item: Item) -> Item:
        return item

    with pytest.raises(TypeError, match="/items takes JSON"):
        app.include_router(lax)
