"""A request is carried out once, however often it is asked, also when a master was lost before it answered.

The handler of a verb that changes something has ``order``, which does it and gives a receipt, and may have
``answer``, for what the answer has to wait for. The receipt is saved with the effects of the order, in the
same commit; who asks again, this master or the next one, gets the answer that belongs to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from pypm.core.receipt import Receipt
from pypm.master.store import Store

__all__ = ["Receipts"]

KEPT = 64
"""Receipts that are remembered: clients ask again at once or not at all."""
KEPT_CHANGES = 4000
"""Instances that all of them may name together, so that the state file stays small."""


class Receipts:
    """The receipts of the latest requests, by the keys that clients have given them."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._kept: dict[str, Receipt] = {}
        self._encoded: dict[str, bytes] = {}
        store.receipts = self._encode

    def restore(self, receipts: Iterable[Receipt]) -> None:
        """Take over what an earlier master has left."""
        self._kept.update((receipt.key, receipt) for receipt in receipts)

    def find(self, key: str) -> Receipt | None:
        """The receipt of a request that has been ordered already."""
        return self._kept.get(key)

    def keep(self, key: str, receipt: Receipt) -> Receipt:
        """Remember what has just been ordered. It is saved with what the order has changed, if it has."""
        receipt.key, receipt.at = key, self._clock()
        if key:
            self._kept[key] = receipt
            self._forget_old()
        return receipt

    def carried_out(self, receipt: Receipt, *instance_ids: int) -> None:
        """The order has been carried out for these instances; saved with what that has changed."""
        receipt.carried_out.extend(instance_ids)
        self._encoded.pop(receipt.key, None)

    async def saved(self) -> None:
        """Return when all receipts are on the disk, also those of orders that change nothing there."""
        self._store.write_anew()
        await self._store.committed()

    def _forget_old(self) -> None:
        changes = sum(len(receipt.changes) for receipt in self._kept.values())
        while len(self._kept) > KEPT or (changes > KEPT_CHANGES and len(self._kept) > 1):
            oldest = next(iter(self._kept))
            changes -= len(self._kept.pop(oldest).changes)
            self._encoded.pop(oldest, None)

    def _encode(self) -> list[bytes]:
        """As the state file has them; what has not changed is not encoded again."""
        for key, receipt in self._kept.items():
            if key not in self._encoded:
                self._encoded[key] = msgspec.json.encode(receipt)
        return [self._encoded[key] for key in self._kept]
