import pytest

from cloudyard.foundation.limiting import Limit


@pytest.mark.parametrize(("amount", "seconds"), [(-1, 60), (1, 0), (1, -5)])
def test_a_limit_without_sense_is_refused(amount: int, seconds: int) -> None:
    with pytest.raises(ValueError, match="a limit needs"):
        Limit(amount, seconds)


def test_nothing_at_all_may_be_allowed() -> None:
    assert Limit(0, 60).amount == 0
