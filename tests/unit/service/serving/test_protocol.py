"""Values sent to clients arrive unchanged."""

import numpy as np

from negsift.common.account import Account, RecoveryCounts, Traffic
from negsift.common.types import Selection
from negsift.service.serving.protocol import answer_of, selection_of


def test_a_selection_arrives_with_its_whole_account() -> None:
    account = Account(scored=9, traffic=Traffic(rounds=2), seconds={"score": 0.5}, recovery=RecoveryCounts(moved=1))
    sent = Selection(np.array([3, 1]), np.array([0.5, 0.25]), np.ones(2), 7, account=account)
    found = selection_of(answer_of(sent))
    np.testing.assert_array_equal(found.index, sent.index)
    assert (found.version, found.account) == (7, account)
