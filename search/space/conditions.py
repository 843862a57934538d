"""When a parameter exists: a condition on others, read by hand; nothing of it is ever run as code."""

import dataclasses
import operator
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from search.space import scalars
from search.space.scalars import Value

ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
OPERATORS = ("==", "!=", *ORDERS)
LISTS = ("in", "not in")
KEYWORDS = ("and", "or", "not", "in", "is", *scalars.WORDS)
DEPTH_LIMIT = 50  # of brackets within brackets
EXCERPT = 200  # characters of a condition in a message

_TOKEN = re.compile(
    r"\s*(?:(?P<quoted>(?P<mark>['\"`])(?:(?!(?P=mark)).|(?P=mark){2})*(?P=mark))"
    r"|(?P<sign>==|!=|<=|>=|[<>=!()\[\],])|(?P<word>[^\s()\[\],'\"`<>=!]+))"
)
_BARE = re.compile(r"[^\W\d][\w.-]*")
_RULE = (
    "must read NAME OPERATOR VALUE with one of {operators}, NAME in [VALUE, ...], or NAME alone where it is true or "
    "false, with and, or, not and brackets around them, as in \"depth > 0 and activation in ['ReLU', 'GELU']\""
).format(operators=" ".join(OPERATORS))

# What may come of it: True, False, and None where it asks about a parameter that does not exist
Outcomes = frozenset[bool | None]
_RANKS: dict[bool | None, int] = {False: 0, None: 1, True: 2}
_ANY: Outcomes = frozenset(_RANKS)


@dataclasses.dataclass(frozen=True, eq=False)
class Condition:
    """A comparison, or several, joined. What it asks about a parameter that does not exist counts as not so.

    Attributes:
        sign: one of `OPERATORS` or `LISTS`; `and`, `or` and `not` over `parts`.
        parent: of a comparison, the parameter that it asks about, and `among` what it is compared with.
        is_bare: the name alone: `early` is `early == true`.
    """

    sign: str
    parent: str = ""
    among: tuple[Value, ...] = ()
    parts: tuple["Condition", ...] = ()
    is_bare: bool = False

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Reads a condition of a study file; which parameters there are is not looked at.

        Raises:
            ValueError: the text has another form.
        """
        try:
            return _Reader(text).read()
        except ValueError as error:
            raise ValueError(f"{_RULE}: {error}, got {text[:EXCERPT]!r}") from None

    @property
    def comparisons(self) -> Iterator["Condition"]:
        """What it is joined of."""
        if self.parent:
            yield self
        for part in self.parts:
            yield from part.comparisons

    @property
    def parents(self) -> tuple[str, ...]:
        """The parameters that it asks about, each once."""
        return tuple(dict.fromkeys(each.parent for each in self.comparisons))

    def holds(self, params: Mapping[str, Value]) -> bool:
        """Whether it is so beside these values."""
        return True in self.outcomes(params)

    def outcomes(self, params: Mapping[str, Value], unknown: Collection[str] = ()) -> Outcomes:
        """All that may come of it, where some parameters have no value yet.

        `not` of what asks about a parameter that does not exist is no more so than it: `not a == 1` is `a != 1`.
        """
        if self.parent:
            if self.parent in params:
                return frozenset((self.compare(params[self.parent]),))
            return _ANY if self.parent in unknown else frozenset((None,))
        first, *others = (part.outcomes(params, unknown) for part in self.parts)
        if self.sign == "not":
            return frozenset(None if each is None else not each for each in first)
        for other in others:
            weaker = min if self.sign == "and" else max
            first = frozenset(weaker(a, b, key=_RANKS.__getitem__) for a in first for b in other)
        return first

    def compare(self, value: Value) -> bool:
        """Of a comparison: whether it is so of a value. None is neither larger nor smaller than a number."""
        if self.sign in ORDERS:
            return value is not None and ORDERS[self.sign](value, self.among[0])
        return any(scalars.equal(value, each) for each in self.among) == (self.sign in ("==", "in"))

    def change(self, comparison: Callable[["Condition"], "Condition"]) -> "Condition":
        """The same with each comparison changed."""
        if self.parent:
            return comparison(self)
        return dataclasses.replace(self, parts=tuple(part.change(comparison) for part in self.parts))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Condition) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        if self.is_bare:
            return name_text(self.parent)
        if self.sign in LISTS:
            return f"{name_text(self.parent)} {self.sign} [{', '.join(map(value_text, self.among))}]"
        if self.parent:
            return f"{name_text(self.parent)} {self.sign} {value_text(self.among[0])}"
        inner = [f"({part})" if part.sign in ("and", "or") else str(part) for part in self.parts]
        return f"not {inner[0]}" if self.sign == "not" else f" {self.sign} ".join(inner)


def name_text(name: str) -> str:
    """A parameter's name as a condition writes it: in backticks where it is no plain word."""
    plain = _BARE.fullmatch(name) and name not in KEYWORDS and name.lower() not in scalars.WORDS
    return name if plain else "`" + name.replace("`", "``") + "`"


def value_text(value: Value) -> str:
    """A value as a condition writes it."""
    if not isinstance(value, str):
        return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value).lower()
    mark = '"' if "'" in value and '"' not in value else "'"
    return mark + value.replace(mark, 2 * mark) + mark


class _Reader:
    """Reads a condition from left to right; its errors say what stands where something else should."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        place = 0
        text = text.rstrip()
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None:
                raise ValueError("a quote is not closed")
            self._tokens.append((match.lastgroup or "", match[0].strip()))
            if match["quoted"]:
                self._tokens[-1] = ("quoted", match["quoted"])
            place = match.end()
        self._tokens.reverse()
        self._depth = 0

    def read(self) -> Condition:
        """The whole."""
        found = self._joined("or", lambda: self._joined("and", self._part))
        if self._tokens:
            raise ValueError(f"{self._tokens[-1][1]} is too much")
        return found

    def _joined(self, word: str, part: Callable[[], Condition]) -> Condition:
        parts = [part()]
        while self._takes(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Condition(word, parts=tuple(parts))

    def _part(self) -> Condition:
        if not (self._next_is("not") or self._next_is("(")):
            return self._comparison()
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise ValueError(f"more than {DEPTH_LIMIT} brackets are open")
        if self._takes("not"):
            found = Condition("not", parts=(self._part(),))
        else:
            self._takes("(")
            found = self._joined("or", lambda: self._joined("and", self._part))
            self._expect(")")
        self._depth -= 1
        return found

    def _comparison(self) -> Condition:
        parent = self._name()
        if self._takes("is"):
            sign = "!=" if self._takes("not") else "=="
            return Condition(sign, parent, (self._value(),))
        for sign in OPERATORS:
            if self._takes(sign):
                return Condition(sign, parent, (self._value(),))
        negated = self._takes("not")
        if not self._takes("in"):
            if negated or self._next_is("=") or (self._tokens and self._tokens[-1][0] == "quoted"):
                raise ValueError(f"an operator is missing behind {parent}")
            return Condition("==", parent, (True,), is_bare=True)
        self._expect("[")
        among = [self._value()]
        while self._takes(","):
            among.append(self._value())
        self._expect("]")
        return Condition("not in" if negated else "in", parent, tuple(among))

    def _name(self) -> str:
        kind, text = self._pop("a name")
        if kind == "quoted" and text[0] == "`":
            return text[1:-1].replace("``", "`")
        if kind != "word" or not _BARE.fullmatch(text) or text in KEYWORDS:
            raise ValueError(f"{text} is no name: one of other than letters, digits, . _ and - stands in backticks")
        return text

    def _value(self) -> Value:
        kind, text = self._pop("a value")
        if kind == "quoted" and text[0] != "`":
            return text[1:-1].replace(2 * text[0], text[0])
        found = scalars.number(text) if kind == "word" else None
        if found is None and text.lower() not in scalars.WORDS:
            raise ValueError(f"{text} is no value: a number, a string in quotes, true, false or none")
        return scalars.WORDS[text.lower()] if found is None else found

    def _pop(self, what: str) -> tuple[str, str]:
        if not self._tokens:
            raise ValueError(f"{what} is missing at its end")
        return self._tokens.pop()

    def _next_is(self, token: str) -> bool:
        return bool(self._tokens) and self._tokens[-1][1] == token and self._tokens[-1][0] != "quoted"

    def _takes(self, token: str) -> bool:
        found = self._next_is(token)
        if found:
            self._tokens.pop()
        return found

    def _expect(self, token: str) -> None:
        if not self._takes(token):
            raise ValueError(f"{token} is missing" + (f" before {self._tokens[-1][1]}" if self._tokens else ""))
