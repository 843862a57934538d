"""MLflow's own client, so that a server that is slow or silent holds nobody up, and what it refuses is one line."""

import base64
import configparser
import contextlib
import dataclasses
import os
import random
import re
import time
from collections.abc import Iterator
from typing import Any

from search import errors, lines
from search.exports import silences, targets
from search.storage import addresses

NUMBER, SUM, SENT = "search.trial", "search.published", "search.sent"  # tags that say whose a run is, and how whole
PAGE = 1_000  # runs
REPEATABLE = ("log_batch", "set_experiment_tag", "set_terminated", "update_run")
TRIES, COLLISION_SECONDS = 5, 0.2
SECRETS = ("MLFLOW_TRACKING_TOKEN", "DATABRICKS_TOKEN", "DATABRICKS_PASSWORD", "DATABRICKS_CLIENT_SECRET")
# what the user has set stays
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@dataclasses.dataclass(frozen=True)
class Run:
    """What is to be known of a run: of thousands they are kept.

    Attributes:
        begun: milliseconds since 1970.
        trial: the number of its trial, where it has one.
        published: checksum of what was sent; `sent`: how many points of its curves, and their digest.
    """

    run_id: str
    begun: int
    status: str
    trial: int | None
    published: str
    sent: tuple[int, str]
    params: dict[str, str]

    @classmethod
    def of(cls, run: Any) -> "Run":
        """From MLflow's own."""
        tags = run.data.tags
        count, _, digest = tags.get(SENT, "0:").partition(":")
        trial, sent = _number(tags.get(NUMBER, "")), (_number(count) or 0, digest)
        return cls(
            run.info.run_id, run.info.start_time, run.info.status, trial, tags.get(SUM, ""), sent, dict(run.data.params)
        )


def _number(text: str) -> int | None:
    """None where somebody has edited it."""
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None


class Gone(errors.PublishFailed):
    """A run, or all of them, was deleted meanwhile."""


class Taken(errors.PublishFailed):
    """There is an experiment of that name."""


class _Collided(errors.PublishFailed):
    """Another client has written the same in this moment."""


KINDS: dict[str, type[errors.PublishFailed]] = {"RESOURCE_DOES_NOT_EXIST": Gone, "RESOURCE_ALREADY_EXISTS": Taken}


class Client:
    """The client of a tracking server.

    Args:
        uri: of the server.

    Raises:
        errors.InputError: the library is not installed.
        errors.PublishFailed: from each call too: it was not answered, or refused.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        with _environment():
            self.entities: Any = targets.load("mlflow.entities", "mlflow")
            addresses.hide(_secrets())
            self._errors: Any = targets.load("mlflow.exceptions", "mlflow")
            tracking: Any = targets.load("mlflow.tracking", "mlflow")
            self._client = self._answer(tracking.MlflowClient, tracking_uri=uri)

    def call(self, name: str, *given: Any, **options: Any) -> Any:
        """A request, by the name of MLflow's method.

        What may be sent twice is: a server fails one of two that write the same new label in the same moment.
        """
        for _ in range(TRIES if name in REPEATABLE else 0):
            with contextlib.suppress(_Collided), _environment():
                return self._answer(getattr(self._client, name), *given, **options)
            time.sleep(random.uniform(0, COLLISION_SECONDS))
        with _environment():
            return self._answer(getattr(self._client, name), *given, **options)

    def search(self, experiment: str, filter_: str) -> Iterator[Run]:
        """Runs of an experiment, in the order of their ids."""
        token, order = None, ["attributes.run_id"]
        while True:
            page = self.call("search_runs", [experiment], filter_, max_results=PAGE, order_by=order, page_token=token)
            yield from map(Run.of, page)
            if not (token := page.token):
                return

    def _answer(self, request: Any, *given: Any, **options: Any) -> Any:
        try:
            return request(*given, **options)
        except self._errors.MlflowException as error:
            if (silence := silences.phrase(error)) is not None:
                raise errors.PublishUnfinished(f"--to mlflow:{self.uri} does not answer: {silence}") from error
            kind: type[errors.PublishFailed] = KINDS.get(error.error_code, errors.PublishFailed)
            if "'active' state" in str(error):
                kind = Gone
            elif "IntegrityError" in str(error) and kind is not Taken:
                kind = _Collided
            raise kind(self._sentence(error)) from error
        except ImportError as error:  # of a database of MLflow's own, of which its client alone knows nothing
            raise errors.InputError(
                f"--to mlflow:{self.uri} needs all of MLflow ({error}): pip install mlflow"
            ) from error
        except Exception as error:  # whatever such a database raises
            raise errors.PublishFailed(self._sentence(error)) from error

    def _sentence(self, error: Exception) -> str:
        return f"--to mlflow:{self.uri} does not take it: {lines.said(addresses.scrub(str(error)))}"


def _secrets() -> Iterator[str]:
    """What MLflow sends to log in, in each form in which its errors may repeat it."""
    try:
        found = targets.load("mlflow.utils.credentials", "mlflow").read_mlflow_creds()
    except (configparser.Error, ValueError):  # which repeat what stands there
        raise errors.PublishFailed(
            "--to mlflow: ~/.mlflow/credentials cannot be read: in an INI file % is written %%"
        ) from None
    user, password = found.username or "", found.password or ""
    login = (user or password) and base64.b64encode(f"{user}:{password}".encode(errors="replace")).decode()
    names = [user] if len(user) >= addresses.LEAST_OF_PIECES else []  # a shorter one may be any word of a sentence
    for secret in [*names, password, login, *(os.environ.get(name, "") for name in SECRETS)]:
        yield from (form for text in (secret, secret.strip()) for form in (text, repr(text)[1:-1], lines.clean(text)))


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """For the library's own requests; afterwards it is as it was."""
    missing = [name for name in ENVIRONMENT if name not in os.environ]
    os.environ.update({name: ENVIRONMENT[name] for name in missing})
    try:
        with silences.kept():
            yield
    finally:
        for name in missing:
            os.environ.pop(name, None)
