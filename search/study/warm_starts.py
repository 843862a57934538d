"""[warm_start]: another study, whose results a new one begins with."""

import re
from typing import Annotated

import pydantic

from search import errors
from search.study import validation

# without a password, and without options, where one may stand
PLACE = re.compile(r"sqlite:///[^?]+|postgres(ql)?://([^:/?#@]+@)?[^@/?#]+/[^@/?#]+")


class WarmStart(validation.Section):
    """Whose results.

    Attributes:
        source: the name of the study; `storage`: where it is, if not in the same storage.
    """

    source: Annotated[str, pydantic.Field(alias="from", min_length=1)]
    storage: Annotated[str, pydantic.Field(min_length=1)] | None = None

    @pydantic.field_validator("storage")
    @classmethod
    def _is_open(cls, storage: str | None) -> str | None:
        if storage is not None and not PLACE.fullmatch(storage):
            raise errors.InputError(
                "warm_start.storage must be sqlite:///FILE or postgresql://USER@HOST/DATABASE, without a password: a "
                "study file is stored with its study for all to read. Put it into ~/.pgpass or PGPASSWORD; "
                f"got {storage.partition('://')[0][:20] if '://' in storage else ''}://***"
            )
        return storage
