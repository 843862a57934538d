"""Where a study's results are published: an MLflow server, a folder for TensorBoard, one for Weights & Biases."""

import dataclasses
import os
import pathlib
import re

from search import errors

MLFLOW, TENSORBOARD, WANDB = "mlflow", "tensorboard", "wandb"
KINDS = (MLFLOW, TENSORBOARD, WANDB)
FORMS = "mlflow:URI, tensorboard:FOLDER or wandb:FOLDER"
HIDDEN = "***"
URI = re.compile(r"(https?|databricks|sqlite)(://.*)?", re.DOTALL)
HOST = re.compile(r"https?://[\w.-]+|https?://\[[0-9a-fA-F:.]+\]")


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
        errors.InputError: no such kind, nothing behind it, or a URI with a password in it.
    """
    kind, colon, place = text.partition(":")
    if kind not in KINDS or not colon:
        shown = f"{kind}:..." if colon else text  # what follows may hold a password
        raise errors.InputError(f"{where} must be {FORMS}, got {shown!r}")
    if kind == MLFLOW:
        return Destination(kind, _uri(place, where))
    if not place.strip() or not place.isprintable():
        raise errors.InputError(f"{where} must be {kind}:FOLDER, got {text!r}")
    return Destination(kind, os.path.abspath(pathlib.Path(place).expanduser()))  # noqa: PTH100  # links stay


def _uri(uri: str, where: str) -> str:
    scheme = uri.partition(":")[0]
    if "@" in uri or "?" in uri or "#" in uri:
        raise errors.InputError(
            f"{where} must hold no user, password or option: MLflow takes MLFLOW_TRACKING_USERNAME and "
            f"MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, from the environment; got mlflow:{scheme}:{HIDDEN}"
        )
    if URI.fullmatch(uri) is None or (scheme.startswith("http") and HOST.match(uri) is None) or not uri.isprintable():
        raise errors.InputError(
            f"{where} must be mlflow:http://HOST:PORT, mlflow:https://HOST, mlflow:sqlite:///FILE or mlflow:databricks"
            f", got {f'mlflow:{uri}'!r}"
        )
    return uri.rstrip("/") if scheme.startswith("http") else uri
