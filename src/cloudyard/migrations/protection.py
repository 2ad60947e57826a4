"""What a migration does to make a table append-only."""

from alembic import op

from cloudyard.foundation.database.schema import append_only_statements


def make_append_only(*tables: str) -> None:
    """Have the database itself refuse UPDATE and DELETE on these tables."""
    dialect = op.get_bind().dialect.name
    for table in tables:
        for statement in append_only_statements(table, dialect):
            op.execute(statement)
