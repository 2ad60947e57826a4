"""What the database itself keeps about statement lines that are no usage, in the statement that inserts them.

Usage is by far the most frequent kind of line, and a charge must not pay for pages of other kinds. So places are kept
for all the others, and those of usage follow from them: it is what lies between. Being kept by triggers they hold for
every way in which a line comes in, and a charge costs no statement more.
"""

from sqlalchemy import DDL, Table, event

OTHERS = "others"
"""The series of all lines that are no usage."""

_COUNT_PLACE = f"""
    INSERT INTO ledger_statement_places (user_id, series, place, number)
    SELECT NEW.user_id, named.series, 1 + COALESCE((
        SELECT kept.place FROM ledger_statement_places AS kept
        WHERE kept.user_id = NEW.user_id AND kept.series = named.series ORDER BY kept.place DESC LIMIT 1
    ), 0), NEW.number
    FROM (SELECT NEW.kind AS series UNION ALL SELECT '{OTHERS}') AS named;
    INSERT INTO ledger_statement_totals (kind, lines, amount_nanos) VALUES (NEW.kind, 1, NEW.amount_nanos)
    ON CONFLICT (kind) DO UPDATE SET lines = ledger_statement_totals.lines + 1,
        amount_nanos = ledger_statement_totals.amount_nanos + excluded.amount_nanos;
"""  # noqa: S608 - our own words

FILL = (
    f"""
    INSERT INTO ledger_statement_places (user_id, series, place, number)
    SELECT user_id, kind, ROW_NUMBER() OVER (PARTITION BY user_id, kind ORDER BY number), number
    FROM ledger_statement_lines WHERE kind <> 'usage'
    UNION ALL
    SELECT user_id, '{OTHERS}', ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY number), number
    FROM ledger_statement_lines WHERE kind <> 'usage'
    """,  # noqa: S608 - our own words
    """
    INSERT INTO ledger_statement_totals (kind, lines, amount_nanos)
    SELECT kind, COUNT(*), SUM(amount_nanos) FROM ledger_statement_lines WHERE kind <> 'usage' GROUP BY kind
    """,
)
"""SQL that takes in the lines which were there before (used by migrations)."""


def place_statements(dialect: str) -> list[str]:
    """SQL that makes the database keep places and totals of statement lines (used by migrations)."""
    if dialect == "sqlite":
        return [
            "CREATE TRIGGER ledger_statement_lines_places AFTER INSERT ON ledger_statement_lines "
            f"WHEN NEW.kind <> 'usage' BEGIN {_COUNT_PLACE} END"
        ]
    return [
        "CREATE FUNCTION ledger_statement_lines_places() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {_COUNT_PLACE} RETURN NULL; END $$",
        "CREATE TRIGGER ledger_statement_lines_places AFTER INSERT ON ledger_statement_lines "
        "FOR EACH ROW WHEN (NEW.kind <> 'usage') EXECUTE FUNCTION ledger_statement_lines_places()",
    ]


def place_removal(dialect: str) -> list[str]:
    """SQL that makes the database keep them no longer (used by migrations)."""
    if dialect == "sqlite":
        return ["DROP TRIGGER ledger_statement_lines_places"]
    return [
        "DROP TRIGGER ledger_statement_lines_places ON ledger_statement_lines",
        "DROP FUNCTION ledger_statement_lines_places()",
    ]


def keep_places(table: Table) -> Table:
    """Have the database keep the places of a table's lines wherever it is created from the metadata."""
    for dialect in ("sqlite", "postgresql"):
        for statement in place_statements(dialect):
            ddl = DDL(statement).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]
            event.listen(table, "after_create", ddl)
    return table
