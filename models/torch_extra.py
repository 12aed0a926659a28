"""Asking for torch where it is needed, so that everything else imports and works without it."""

from __future__ import annotations

import sys
from typing import Any

from ..pipeline.errors import MissingExtraError


def import_torch(what: str) -> Any:
    """Return the module ``torch``.

    Parameters
    ----------
    what
        Who needs it, in the plural, as the message begins: ``"samples of datasets"``.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(f'{what} need torch, which is not installed: pip install "vidprep[train]"') from error
    return torch


def in_loader_worker() -> bool:
    """Whether this process is a worker of torch's DataLoader. Such a process has imported torch."""
    data = sys.modules.get("torch.utils.data")
    return data is not None and data.get_worker_info() is not None
