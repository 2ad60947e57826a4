"""What is generated and committed says what the code says now."""

from pathlib import Path

from cloudyard.entrypoints.openapi_documents import openapi_documents
from cloudyard.entrypoints.settings_reference import settings_reference

ROOT = Path(__file__).parents[2]


def test_the_settings_reference_is_up_to_date() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert page == settings_reference(), "run `cloudyard settings reference` and commit the page"


def test_the_settings_reference_explains_every_setting() -> None:
    rows = [line for line in settings_reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    for row in rows:
        assert row.rstrip(" |").endswith("."), f"a setting without a sentence: {row}"


async def test_the_openapi_documents_are_up_to_date() -> None:
    documents = await openapi_documents()
    committed = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "contracts").glob("*.openapi.json")}
    assert committed.keys() == documents.keys(), "run `cloudyard openapi export` and commit the documents"
    for name, document in documents.items():
        assert committed[name] == document, f"{name}: run `cloudyard openapi export` and commit it"


async def test_the_openapi_documents_are_the_same_at_every_writing() -> None:
    assert await openapi_documents() == await openapi_documents()
