"""The forms in which an alert can be published, each as one line of JSON that fits."""

from __future__ import annotations

from collections.abc import Callable

from fastfold.alerts.cut import LEAST_BYTES, Cut, fit
from fastfold.alerts.ecs import ecs
from fastfold.alerts.native import native
from fastfold.alerts.ocsf import ocsf
from fastfold.alerts.types import Alert
from fastfold.text import json_line

__all__ = ["FORMS", "LEAST_BYTES", "line_of"]

FORMS: dict[str, Callable[[Alert, Cut], dict[str, object]]] = {"native": native, "ocsf": ocsf, "ecs": ecs}
"""What makes the object of a form, by its name."""


def line_of(alert: Alert, form: str, most_bytes: int) -> tuple[bytes, Cut]:
    """An alert in a form, without a line feed, and what had to be cut of it.

    Parameters
    ----------
    alert : Alert
    form : str
        A name of `FORMS`.
    most_bytes : int
        At least `LEAST_BYTES`.
    """
    make = FORMS[form]

    def render(alert: Alert, cut: Cut) -> bytes:
        # A lone surrogate cannot come from the core; were one here, its line would still be UTF-8: an escape.
        return json_line(make(alert, cut)).encode("utf-8")

    return fit(alert, render, most_bytes)
