from cloudyard.foundation.money import CreditRate
from cloudyard.web.money_details import USD, MoneyUnit

DETAILS = {"available_nanos": 1_500_000_000, "limit": 5, "note_nanos": "not an amount", "model": "mine"}


def test_amounts_change_their_unit_and_their_name_and_nothing_else_does() -> None:
    rest = {"limit": 5, "note_nanos": "not an amount", "model": "mine"}
    assert USD.shown(DETAILS) == {"available_usd": 1.5, **rest}
    assert MoneyUnit("credits", CreditRate(100).credits).shown(DETAILS) == {"available_credits": 150, **rest}


def test_a_whole_amount_is_a_whole_number() -> None:
    (shown,) = USD.shown({"needed_nanos": 3_000_000_000}).values()
    assert (shown, type(shown)) == (3, int)
