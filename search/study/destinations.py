"""Where a study's results are published: an MLflow server, a folder for TensorBoard, one for Weights & Biases."""

import dataclasses
import os
import pathlib
import re
from typing import Any

from search import errors

MLFLOW, TENSORBOARD, WANDB = "mlflow", "tensorboard", "wandb"
KINDS = (MLFLOW, TENSORBOARD, WANDB)
FORMS = "mlflow:URI, tensorboard:FOLDER or wandb:FOLDER"
HIDDEN = "***"
SCHEMES = ("http", "https", "databricks", "sqlite", "postgresql", "mysql", "mssql", "file", "ftp")  # tell no secret
URI = re.compile(
    r"https?://(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{0,5})?(?:/.*)?|databricks(?:://[\w.-]+)?|sqlite:///.+", re.DOTALL
)
ADDRESS = re.compile(r"[A-Za-z][\w+.-]+:/|.*://", re.DOTALL)  # not C:/runs
# of what is no destination: a key that stands in the wrong place is not among these
PLAIN_KIND, PLAIN_TEXT = re.compile(r"[a-z]{1,12}"), re.compile(r"[a-z./~_-]{0,32}")


@dataclasses.dataclass(frozen=True)
class Destination:
    """One place.

    Attributes:
        kind: one of `KINDS`.
        place: the URI of an MLflow server, or the absolute path of a folder.
    """

    kind: str
    place: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.place}"


def read(text: str, where: str = "--to") -> Destination:
    """A destination as it is typed.

    Args:
        where: what errors begin with.

    Raises:
        errors.InputError: no such kind, nothing behind it, a URI with a password in it, or one where a folder belongs;
            what may be a secret is not shown.
    """
    kind, colon, place = text.partition(":")
    if kind not in KINDS or not colon:
        shown = kind if (PLAIN_KIND if colon else PLAIN_TEXT).fullmatch(kind) else HIDDEN
        raise errors.InputError(f"{where} must be {FORMS}, got {shown + ':...' * bool(colon)!r}")
    if kind == MLFLOW:
        return Destination(kind, _uri(place, where))
    if ADDRESS.match(place):
        raise errors.InputError(f"{where} must be {kind}:FOLDER, a folder and no address, got '{kind}:{HIDDEN}'")
    if not place.strip() or not place.isprintable():
        raise errors.InputError(f"{where} must be {kind}:FOLDER, got {text!r}")
    return Destination(kind, os.path.abspath(pathlib.Path(place).expanduser()))  # noqa: PTH100  # links stay


def read_all(given: Any, where: str) -> list[Destination]:
    """Each of a text, or of a list of texts, once.

    Raises:
        errors.InputError: anything else, or one that is no destination.
    """
    texts = given if isinstance(given, list) else [] if given in (None, "") else [given]
    for text in texts:
        if not isinstance(text, str):
            shown = "a table" if isinstance(text, dict) else "a list" if isinstance(text, list) else text  # not inside
            raise errors.InputError(f"{where} must be a text, or a list of texts, each {FORMS}, got {shown}")
    return list(dict.fromkeys(read(text, where) for text in texts))


def _uri(uri: str, where: str) -> str:
    scheme, colon, _ = uri.partition(":")
    shown = f"mlflow:{scheme}:{HIDDEN}" if colon and scheme in SCHEMES else f"mlflow:{HIDDEN}"
    if "@" in uri or "?" in uri or "#" in uri:
        raise errors.InputError(
            f"{where} must hold no user, password or option: MLflow takes MLFLOW_TRACKING_USERNAME and "
            f"MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, from the environment; got {shown}"
        )
    if URI.fullmatch(uri) is None or not uri.isprintable():
        raise errors.InputError(
            f"{where} must be mlflow:http://HOST:PORT, mlflow:https://HOST, mlflow:sqlite:///FILE or mlflow:databricks"
            f", got {shown}"
        )
    return uri.rstrip("/") if scheme.startswith("http") else uri
