"""From the core's records to the objects of `/v1`."""

from collections.abc import Iterable, Sequence

from cloudyard.domains.files import FileRecord
from cloudyard.domains.identity.records import Principal
from cloudyard.domains.inference import Catalogue, Model, ModelNotFound
from cloudyard.surfaces.openai.schemas import FileList, FileObject, ModelObject

DEFAULT_PURPOSE = "user_data"


def visible_models(catalogue: Catalogue, principal: Principal) -> list[ModelObject]:
    """Every name that the caller may ask for, models and aliases, in the order of the names."""
    return sorted(_named(catalogue, principal), key=lambda model: model.id)


def visible_model(catalogue: Catalogue, principal: Principal, name: str) -> ModelObject:
    """One name that the caller may ask for. Raises `ModelNotFound`."""
    model = catalogue.find(name)
    if not _allowed(principal, name, model):
        raise ModelNotFound(
            f"There is no model {name!r} that this API key may use. GET /v1/models lists those that it may.",
            field="model",
        )
    return model_object(model, name)


def model_object(model: Model, name: str) -> ModelObject:
    """A model under one of its names."""
    return ModelObject(
        id=name,
        created=int(model.created_at.timestamp()),
        owned_by=model.provider,
        alias_of=model.name if name != model.name else None,
    )


def file_object(record: FileRecord) -> FileObject:
    """A stored file."""
    return FileObject(
        id=record.id,
        bytes=record.size,
        created_at=int(record.created_at.timestamp()),
        expires_at=int(record.expires_at.timestamp()) if record.expires_at else None,
        filename=record.filename,
        purpose=record.purpose or DEFAULT_PURPOSE,
    )


def file_list(records: Sequence[FileRecord], *, has_more: bool) -> FileList:
    """A page of files."""
    objects = [file_object(record) for record in records]
    first, last = (objects[0].id, objects[-1].id) if objects else (None, None)
    return FileList(data=objects, first_id=first, last_id=last, has_more=has_more)


def _named(catalogue: Catalogue, principal: Principal) -> Iterable[ModelObject]:
    names = {model.name: model for model in catalogue.models()}
    for name, model in [*names.items(), *((a, names[of]) for a, of in catalogue.aliases().items() if a not in names)]:
        if _allowed(principal, name, model):
            yield model_object(model, name)


def _allowed(principal: Principal, name: str, model: Model) -> bool:
    return principal.may_use_model(model.name) or principal.may_use_model(name)
