"""`python -m cloudyard.migrations MESSAGE` writes a new migration from what the tables became."""

import asyncio
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.operations.ops import CreateTableOp, MigrationScript
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from cloudyard.foundation.database import Database
from cloudyard.migrations.applying import migration_config
from cloudyard.migrations.upgrade import upgrade
from cloudyard.testing.tables import load_models

PROTECTION = "from cloudyard.migrations.protection import make_append_only"


async def write_migration(message: str) -> None:
    """Compare the tables with an up-to-date empty database and write the difference as a migration."""
    load_models()
    with tempfile.TemporaryDirectory() as directory:
        database = Database(f"sqlite:///{Path(directory) / 'empty.db'}")
        await upgrade(database)
        await database.run(lambda connection: _generate(connection, message))
        await database.close()


def _generate(connection: Connection, message: str) -> None:
    config = migration_config(connection)
    number = len(list(ScriptDirectory.from_config(config).walk_revisions())) + 1
    protected: list[str] = []

    def collect(_context: object, _revision: object, directives: list[MigrationScript]) -> None:
        for step in directives[0].upgrade_ops.ops if directives[0].upgrade_ops else []:
            if isinstance(step, CreateTableOp) and step.info.pop("append_only", False):
                protected.append(step.table_name)

    written = command.revision(
        config, message, autogenerate=True, rev_id=f"{number:04d}", process_revision_directives=collect
    )
    if protected and written is not None and not isinstance(written, list):
        _protect(Path(written.path), protected)


def _protect(path: Path, tables: list[str]) -> None:
    names = "".join(f'\n        "{name}",' for name in tables)
    text = path.read_text()
    text = text.replace("\nrevision =", f"{PROTECTION}\n\nrevision =", 1)
    text = text.replace("\n\ndef downgrade", f"\n    make_append_only({names}\n    )\n\n\ndef downgrade", 1)
    path.write_text(text)


if __name__ == "__main__":
    asyncio.run(write_migration(" ".join(sys.argv[1:])))
