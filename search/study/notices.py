"""[notify] of a study file: what people are told of a study. Addresses are secrets, and stand elsewhere."""

import typing
from typing import Annotated, Any, Literal

import pydantic

from search import errors
from search.study import validation

Event = Literal["finished", "best", "stalled", "failed", "lost"]
EVENTS: tuple[Event, ...] = typing.get_args(Event)
HOW = 'write addresses into a file of their own, one a line, and name it: notify.urls_file = "secrets/notify-urls"'


class Notify(validation.Section):
    """[notify]: who is told what.

    Attributes:
        urls_file: the file of addresses, seen from where each process runs; None where nobody is told anything.
        on: the events.
        quiet_minutes: in which there is at most one message of a new best value, of failed trials and of lost workers.
        stalled_minutes: without any progress, after which a study has stalled.
    """

    urls_file: Annotated[str, pydantic.Field(min_length=1, max_length=1_000)] | None = None
    on: Annotated[list[Event], pydantic.Field(min_length=1)] = list(EVENTS)  # noqa: RUF012  # copied by pydantic
    quiet_minutes: Annotated[float, pydantic.Field(ge=0)] = 30.0
    stalled_minutes: Annotated[float, pydantic.Field(gt=0)] = 60.0

    @pydantic.model_validator(mode="before")
    @classmethod
    def _no_address(cls, raw: Any) -> Any:
        """What may be a secret is in no sentence: it is looked at before any other rule."""
        if not isinstance(raw, dict):
            raise errors.InputError(f"notify must be a table; {HOW}")
        for key, value in raw.items():
            if key not in cls.model_fields:
                is_told = (
                    key in ("url", "urls") or validation.MARK in f"{key}{value}" or validation.is_address(str(key))
                )
                more = f"; {HOW}" if is_told else ""
                raise errors.InputError(f"notify.{validation.named(str(key))} is not a known key{more}")
            if validation.MARK in str(value):
                raise errors.InputError(f"notify.{key} must not hold an address, which is a secret: {HOW}")
        if raw and "urls_file" not in raw:
            raise errors.InputError(f"notify.urls_file is missing: {HOW}")
        return raw

    def check_file(self) -> None:
        """Refuses an address in the place of the file, of a study to come.

        Raises:
            ValueError: key and rule, without the value.
        """
        if self.urls_file is not None and validation.is_address(self.urls_file):
            raise ValueError(
                f"notify.urls_file must name a file (with ./ before it, where it looks like an address): {HOW}"
            )

    @property
    def is_on(self) -> bool:
        """Whether anybody is told anything."""
        return self.urls_file is not None

    def tells(self, event: str) -> bool:
        """Whether an event is told."""
        return self.is_on and event in self.on


NOTIFY = Notify()
