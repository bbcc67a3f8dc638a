"""Conditions in the OpenTelemetry Transformation Language: a useful part of it.

text --parse--> Condition(scene) -> bool

or      = and {"or" and}          sum     = product {("+" | "-") product}
and     = not {"and" not}         product = unary {("*" | "/") unary}
not     = ["not"] comparison      unary   = ["+" | "-"] primary
comparison = sum [("==" | "!=" | "<" | "<=" | ">" | ">=") sum]
primary = "(" or ")" | literal | list | ENUM | Converter "(" [or {"," or}] ")" | path {"[" or "]"}
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from paramedic_collector.process.ottl_paths import ALIASES, ENUMS, FIELDS, Scene, all_attributes, attribute
from paramedic_collector.process.ottl_tokens import Token, tokens_of
from paramedic_collector.process.ottl_values import COMPARISONS, FUNCTIONS, calculate, compare, element
from paramedic_collector.process.patterns import compiled

_DEEPEST: Final = 50  # brackets in brackets


class OttlSyntaxError(ValueError):
    """A condition that cannot be understood; the message names the column and shows the condition."""


Condition = Callable[[Scene], bool]


@dataclass(frozen=True, slots=True)
class _Node:
    read: Callable[[Scene], Any]
    truth: bool = False  # may stand alone: a comparison, a converter, true
    value: bool = True  # may be compared: everything but a comparison
    literal: Any = None


def parse(text: str, contexts: Sequence[str]) -> Condition:
    """A condition of the last of these contexts, whose paths need no prefix: ``name == "x"`` of a span.

    Args:
        contexts: Those that can be read, the outermost first: ("resource", "scope", "span").

    Raises:
        OttlSyntaxError: It cannot be understood, or reads what is not there.
    """
    return _Parser(text, contexts, contexts[-1]).condition()


def parse_inferred(text: str, contexts: Sequence[str]) -> tuple[str, Condition]:
    """A condition whose paths all begin with a context; gives the innermost one that is read, too.

    Raises:
        OttlSyntaxError: As `parse`, and when no context is read at all.
    """
    parser = _Parser(text, contexts, "")
    condition = parser.condition()
    if not parser.reads:
        parser.fail(0, "unable to infer a context: no path begins with one of " + ", ".join(contexts))
    return max(parser.used, key=list(contexts).index), condition


class _Parser:
    def __init__(self, text: str, contexts: Sequence[str], own: str) -> None:
        self._text, self._contexts, self._own = text, contexts, own
        self.used: set[str] = set()  # contexts, by a path or by a converter
        self.reads = False  # whether there is any path
        self._tokens = tokens_of(text)
        self._at = self._depth = 0

    def fail(self, column: int, message: str) -> NoReturn:
        raise OttlSyntaxError(f"condition has invalid syntax: 1:{column + 1}: {message} in: {self._text.strip()}")

    def condition(self) -> Condition:
        node = self._or()
        if self._next.kind != "end":
            self._unexpected("and, or, a comparison or the end")
        return self._truth(node, 0).read

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _unexpected(self, wanted: str) -> NoReturn:
        self.fail(self._next.column, f'unexpected token "{self._next.text}" (expected {wanted})')

    def _take(self, *texts: str) -> str:
        """The next token if it is one of these, else ""."""
        token = self._next
        if token.kind in ("word", "sign") and token.text in texts:
            self._at += 1
            return token.text
        return ""

    def _need(self, text: str) -> None:
        if not self._take(text):
            self._unexpected(f'"{text}"')

    def _truth(self, node: _Node, column: int) -> _Node:
        if not node.truth:
            self.fail(column, "a value stands where a comparison, a converter, true or false is expected")
        return node

    def _value(self, node: _Node, column: int) -> _Node:
        if not node.value:
            self.fail(column, "a comparison stands where a value is expected")
        return node

    def _or(self) -> _Node:
        return self._joined(self._and, "or", any)

    def _and(self) -> _Node:
        return self._joined(self._not, "and", all)

    def _joined(self, part: Callable[[], _Node], word: str, together: Callable[[Iterable[bool]], bool]) -> _Node:
        column, node = self._next.column, part()
        parts = [node]
        while self._take(word):
            self._truth(parts[0], column)
            column_of_next = self._next.column
            parts.append(self._truth(part(), column_of_next))
        if len(parts) == 1:
            return node
        reads = [one.read for one in parts]
        return _Node(lambda scene: together(read(scene) is True for read in reads), truth=True, value=False)

    def _not(self) -> _Node:
        if not self._take("not"):
            return self._comparison()
        column = self._next.column
        read = self._truth(self._comparison(), column).read
        return _Node(lambda scene: read(scene) is not True, truth=True, value=False)

    def _comparison(self) -> _Node:
        column, left = self._next.column, self._sum()
        sign = self._take(*COMPARISONS)
        if not sign:
            return left
        right_column = self._next.column
        right = self._value(self._sum(), right_column).read
        left_read = self._value(left, column).read
        return _Node(lambda scene: compare(sign, left_read(scene), right(scene)), truth=True, value=False)

    def _sum(self) -> _Node:
        return self._chain(lambda: self._chain(self._unary, "*", "/"), "+", "-")

    def _chain(self, part: Callable[[], _Node], *signs: str) -> _Node:
        column, node = self._next.column, part()
        while sign := self._take(*signs):
            right_column = self._next.column
            node = self._calculation(sign, self._value(node, column), self._value(part(), right_column))
        return node

    def _calculation(self, sign: str, left: _Node, right: _Node) -> _Node:
        return _Node(lambda scene: calculate(sign, left.read(scene), right.read(scene)))

    def _unary(self) -> _Node:
        sign = self._take("+", "-")
        if not sign:
            return self._primary()
        if self._next.kind not in ("int", "float"):
            self._unexpected("a number")
        number = self._primary().literal
        return _literal(-number if sign == "-" else number)

    def _primary(self) -> _Node:
        token = self._next
        if token.kind in ("end", "strange") or (token.kind == "sign" and token.text not in "(["):
            self._unexpected("a path, a literal, a converter, not or an opening bracket")
        self._at += 1
        if token.kind == "sign":
            return self._bracket() if token.text == "(" else self._list()
        if token.kind == "word":
            return self._word(token)
        return _literal(token.literal())

    def _bracket(self) -> _Node:
        self._deeper()
        node = self._or()
        self._need(")")
        self._depth -= 1
        return node

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            self.fail(self._next.column, f"more than {_DEEPEST} brackets inside each other")

    def _list(self) -> _Node:
        reads = [node.read for node in self._values("]")]
        return _Node(lambda scene: [read(scene) for read in reads])

    def _values(self, closing: str) -> list[_Node]:
        found: list[_Node] = []
        self._deeper()
        while not self._take(closing):
            if found and not self._take(","):
                self._unexpected(f'"," or "{closing}"')
            column = self._next.column
            found.append(self._value(self._or(), column))
        self._depth -= 1
        return found

    def _word(self, token: Token) -> _Node:
        if token.text in ("true", "false"):
            return _Node(lambda _: token.text == "true", truth=True, literal=token.text == "true")
        if token.text == "nil":
            return _literal(None)
        if self._take("("):
            return self._converter(token)
        if token.text.isupper():
            if token.text not in ENUMS:
                self.fail(token.column, f"enum symbol {token.text} not found")
            return _literal(ENUMS[token.text])
        return self._path(token)

    def _converter(self, token: Token) -> _Node:
        function = FUNCTIONS.get(token.text)
        if function is None:
            known = " ".join(sorted(FUNCTIONS))
            self.fail(token.column, f'undefined function "{token.text}" (valid values: [{known}])')
        given = self._values(")")
        if len(given) != len(function.parameters):
            wanted = ", ".join(function.parameters) or "nothing"
            self.fail(token.column, f"{token.text} is called with {len(given)} values, and takes {wanted}")
        if function.context:
            if function.context not in self._contexts:
                self.fail(token.column, f"{token.text} needs a {function.context}")
            self.used.add(function.context)
        if token.text == "IsMatch" and isinstance(given[1].literal, str):
            self._check_pattern(token, given[1].literal)
        reads, call = [one.read for one in given], function.call
        return _Node(lambda scene: call(scene, *[read(scene) for read in reads]), truth=True)

    def _check_pattern(self, token: Token, pattern: str) -> None:
        try:
            compiled(pattern)
        except ValueError as error:
            self.fail(token.column, str(error))

    def _path(self, first: Token) -> _Node:
        names = [first.text]
        while self._take("."):
            if self._next.kind != "word":
                self._unexpected("a name")
            names.append(self._next.text)
            self._at += 1
        context, rest = self._context_of(first, names)
        self.used.add(context)
        self.reads = True
        if rest == ["attributes"]:
            return self._attributes(context)
        read = FIELDS[context].get(".".join(rest))
        if read is None:
            valid = " ".join(sorted(("attributes", *FIELDS[context])))
            self.fail(
                first.column,
                f'segment "{rest[0] if rest else ""}" from path "{".".join(names)}" is not a valid path of the '
                f"{context} context (valid values: [{valid}])",
            )
        return self._indexed(lambda scene: read(scene[context]))

    def _context_of(self, first: Token, names: list[str]) -> tuple[str, list[str]]:
        context = ALIASES.get(names[0], names[0])
        if context in self._contexts:
            return context, names[1:]
        if not self._own:
            contexts = ", ".join(self._contexts)
            self.fail(first.column, f'the path "{".".join(names)}" must begin with its context, one of {contexts}')
        return self._own, names

    def _attributes(self, context: str) -> _Node:
        if self._next.text == "[" and self._tokens[self._at + 1].kind == "string":
            key = str(self._tokens[self._at + 1].literal())
            self._at += 2
            self._need("]")
            return self._indexed(lambda scene: attribute(scene[context], key))
        return self._indexed(lambda scene: all_attributes(scene[context]))

    def _indexed(self, read: Callable[[Scene], Any]) -> _Node:
        while self._take("["):
            column = self._next.column
            key = self._value(self._or(), column)
            self._need("]")
            read = _inside(read, key.read)
        return _Node(read)


def _literal(value: Any) -> _Node:
    return _Node(lambda _: value, literal=value)


def _inside(read: Callable[[Scene], Any], key: Callable[[Scene], Any]) -> Callable[[Scene], Any]:
    return lambda scene: element(read(scene), key(scene))
