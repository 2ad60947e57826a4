"""What the tests of the database write: notes, and records that can only be added to."""

from sqlalchemy import CheckConstraint, Column, Integer, MetaData, String, Table, insert, select

from cloudyard.foundation.database import Database, UtcDateTime, append_only

tables = MetaData()

notes = Table(
    "notes",
    tables,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("text", String(20), CheckConstraint("text <> 'forbidden'"), nullable=False),
    Column("at", UtcDateTime),
)

records = append_only(
    Table(
        "records",
        tables,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("text", String(20), nullable=False, unique=True),
    )
)


async def write(database: Database, note_id: int, text: str = "written") -> None:
    """Add a note in a transaction of its own."""
    async with database.transaction() as tx:
        await tx.execute(insert(notes).values(id=note_id, text=text))


async def written(database: Database) -> list[int]:
    """Ids of the notes that are there."""
    async with database.reading() as tx:
        return [row.id for row in await tx.all(select(notes.c.id).order_by(notes.c.id))]
