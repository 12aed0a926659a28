"""Any map-style dataset of clips behind torch's ``DataLoader``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .case import BATCH, WORKERS, Batches


def in_workers(dataset: Any) -> Callable[[], Batches]:
    """Deliver batches of a dataset's items, in order, from worker processes that stay alive between epochs."""
    from torch.utils.data import DataLoader

    loader = DataLoader(dataset, BATCH, num_workers=WORKERS, persistent_workers=True)
    return lambda: iter(loader)
