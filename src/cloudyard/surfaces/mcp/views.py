"""What tools and resources tell."""

from pydantic import BaseModel

from cloudyard.domains.files import FileRecord
from cloudyard.domains.inference import Model, Turn
from cloudyard.domains.ledger import HistoryEntry, Wallet
from cloudyard.foundation.money import CreditRate


class ModelInfo(BaseModel):
    """A model that can be asked."""

    name: str
    kind: str
    description: str
    context_length: int
    capabilities: list[str]


class ChatAnswer(BaseModel):
    """What a model answered, and what it cost."""

    text: str
    model: str
    finish_reason: str | None
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float


class WalletInfo(BaseModel):
    """The caller's credits: free to spend, and set aside for calls that run."""

    credits: float
    held: float


class LedgerLine(BaseModel):
    """A change of the caller's credits, and what was owned afterwards."""

    at: str
    kind: str
    amount: float
    balance: float
    description: str


class ChatTurn(BaseModel):
    """A question and its answer."""

    at: str
    model: str
    question: str
    answer: str


class FileInfo(BaseModel):
    """A file of the caller's. `size` is in bytes; its bytes are the resource `cloudyard://files/{id}`."""

    id: str
    filename: str
    content_type: str
    size: int
    created_at: str


class FilePage(BaseModel):
    """Files, newest first. `next` is what the next page is asked for with (`after`), None at the end."""

    files: list[FileInfo]
    next: str | None


class FileText(BaseModel):
    """A piece of a text file. `next_offset` is where the next piece begins, in bytes, None at the end."""

    file: FileInfo
    text: str
    next_offset: int | None


class Deleted(BaseModel):
    """The file that is gone."""

    deleted: str


def model_info(model: Model) -> ModelInfo:
    """A model as it is shown."""
    return ModelInfo(
        name=model.name,
        kind=model.kind.value,
        description=model.description,
        context_length=model.context_length,
        capabilities=sorted(model.capabilities),
    )


def wallet_info(wallet: Wallet, rate: CreditRate) -> WalletInfo:
    """A wallet in credits."""
    return WalletInfo(credits=float(rate.credits(wallet.available)), held=float(rate.credits(wallet.held)))


def ledger_line(entry: HistoryEntry, rate: CreditRate) -> LedgerLine:
    """A line of the credit history."""
    return LedgerLine(
        at=entry.created_at.isoformat(),
        kind=entry.kind.value,
        amount=float(rate.credits(entry.amount)),
        balance=float(rate.credits(entry.balance)),
        description=entry.description,
    )


def chat_turn(turn: Turn) -> ChatTurn:
    """A turn of the chat history."""
    return ChatTurn(at=turn.created_at.isoformat(), model=turn.model, question=turn.message, answer=turn.response)


def file_info(record: FileRecord) -> FileInfo:
    """What is told of a file."""
    return FileInfo(
        id=record.id,
        filename=record.filename,
        content_type=record.content_type,
        size=record.size,
        created_at=record.created_at.isoformat(),
    )
