"""Personal data and secrets out of text, before it leaves the process.

    text --known to be clean, or nothing in it looks private (most often)--> as it is
         --patterns, and check digits where there are any-----------------> [email], [phone], [card], [iban], [secret]

    values of attributes that are named like a secret    --> [secret]
    those that hold messages, unless content is captured --> [content]

Best effort: a name or a street is not recognised. What must never be sent must not be written on a span.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

# Attributes whose value is what people and models said, by any instrumentation's name for it.
_CONTENT: Final = re.compile(
    r"gen_ai\.(?:input\.messages|output\.messages|system_instructions|tool\.definitions|prompt|completion|content"
    r"|tool\.call\.(?:arguments|result))|llm\.(?:prompts|completions|input_messages|output_messages)"
    r"|traceloop\.entity\.(?:input|output)|^(?:input|output)\.value"
)
# Attributes whose value is a secret whatever it looks like.
_SECRET_NAME: Final = re.compile(r"(?i)authorization|cookie|api[_-]?key|password|client[_-]?secret")

# Before the patterns below are tried: what most texts are, or do not have in them. In lower case.
_RANDOM_ID: Final = re.compile(r"(?:\w{1,16}[\-_])?(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{24,64})")
_SECRET_WORD: Final = re.compile(
    r"bearer |basic |key|token|secret|passw|pwd|sk-|pk-|rk-|sk_|pk_|rk_|ghp_|gho_|ghu_|ghs_|ghr_|github_pat_|xox"
    r"|akia|asia|aiza|eyj|pmb\.|pmo\."
)
_MANY_DIGITS: Final = re.compile(r"[\d \-/.()]{7}|[a-z]{2}\d\d ?\w{4} ?\w{4}")

_EMAIL: Final = re.compile(r"[\w.%+\-]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63}){1,8}")
_SECRET: Final = re.compile(
    r"\b(?i:bearer|basic) [\w.\-~+/=]{8,}"
    r"|\b[spr]k-[\w\-]{16,}|\b[spr]k_(?:live|test)_\w{8,}|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bxox[a-z]-[\w\-]{10,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[\w\-]{30,}|\beyJ[\w\-]{8,}\.[\w\-]{8,}\.[\w\-]*|\bpm[bo]\.[\w.\-]{16,}"
)
_NAMED_SECRET: Final = re.compile(
    r"(?i)((?:passw(?:or)?d|pwd|secret|(?:api|access|auth|private|account|signing)[_\- ]?key)[\"'\\]{0,3} ?[=:]\s?"
    r"[\"'\\]{0,2})[^\s\"'\\&;,\[]{6,}"
    r"|(token[\"'\\]{0,3} ?[=:]\s?[\"'\\]{0,2})(?=[^\s\"'\\&;,\[]{0,64}\d)[^\s\"'\\&;,\[]{6,}"
)
_IBAN: Final = re.compile(r"(?<![\w\-])[A-Za-z]{2}\d\d(?: ?[A-Za-z0-9]){11,28}")
_IBAN_LENGTHS: Final = dict(
    re.findall(
        r"(\w\w)(\d\d)",
        "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BR29BY28CH21CR22CY28CZ24DE22DK18DO28EE20EG29ES24FI18FO18FR27GB22GE22GI23"
        "GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MR27MT31MU30"
        "NL18NO15PK24PL28PS29PT25QA29RO24RS22SA24SC31SD18SE24SI19SK24SM27ST25SV28TL23TN24TR26UA29VA22VG24XK20",
    )
)
_CARD: Final = re.compile(r"(?<![\w.\-])[2-6](?:[ \-]?\d){12,18}(?![\w]|[.\-]\w)")
_CARD_BEGINS: Final = {13: "4", 14: "3", 15: "3", 16: "23456", 19: "46"}  # by its number of digits
_PHONE: Final = re.compile(
    r"(?<![\w.])\+\d(?:[ \-/.()]{0,2}\d){7,14}(?!\w|\.\d)"  # international
    r"|(?<![\w.\-])00[1-9]\d{0,2}[ \-/](?:[ \-/.()]{0,2}\d){6,12}(?!\w|\.\d)"
    r"|(?<![\w.\-])\(?\d{3}\)?[ \-.]\d{3}[ \-.]\d{4}(?![\w\-]|\.\d)"  # North America
)

_MOST_CLEAN: Final = 4096
_LONGEST_CLEAN: Final = 128


class Private:
    """Knows what must not be sent; safe to share between threads.

    Args:
        patterns: A team's own, beside those that are known; what they match becomes "[redacted]".
        capturing: Whether messages of conversations may be sent.

    Raises:
        ValueError: A pattern is no regular expression, or matches nothing at all.
    """

    def __init__(
        self, patterns: Iterable["str | re.Pattern[str]"] = (), *, capturing: Callable[[], bool] = lambda: False
    ) -> None:
        self._own = [_compiled(pattern) for pattern in patterns]
        self._capturing = capturing
        self._clean: set[str] = set()  # short texts without anything private: most are seen again
        self._clean_names: set[str] = set()  # of attributes that are judged by their value

    def mask(self, text: str) -> str:
        """`text` without what is private in it."""
        if text in self._clean:
            return text
        masked = self._mask(text)
        if masked == text and len(text) <= _LONGEST_CLEAN:
            if len(self._clean) >= _MOST_CLEAN:
                self._clean = set()
            self._clean.add(text)
        return masked

    def value(self, value: Any) -> Any:
        """The same of a value of an attribute: texts anywhere in it are masked; the object itself when none is."""
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, Mapping):
            return self.attributes(value)
        if isinstance(value, Sequence) and not isinstance(value, bytes):
            masked = [self.value(part) for part in value]
            return value if all(a is b for a, b in zip(masked, value, strict=True)) else masked
        return value

    def attributes(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Attributes without what is private in them; the same object when nothing is."""
        changed: dict[str, Any] = {}
        clean, names = self._clean, self._clean_names
        for name, value in attributes.items():
            if name not in names and (label := self._named(name)):
                changed[name] = label
            elif value.__class__ is str and value in clean:
                continue
            elif (masked := self.value(value)) is not value:
                changed[name] = masked
        return {**attributes, **changed} if changed else attributes

    def _named(self, name: str) -> str:
        """What stands for the value of an attribute of this name; empty when the value itself may be told."""
        if _SECRET_NAME.search(name):
            return "[secret]"
        if _CONTENT.search(name):
            return "" if self._capturing() else "[content]"
        if len(self._clean_names) < _MOST_CLEAN:
            self._clean_names.add(name)
        return ""

    def _mask(self, text: str) -> str:
        for own in self._own:
            text = own.sub("[redacted]", text)
        lower = text.lower()
        if _RANDOM_ID.fullmatch(lower) is not None:
            return text
        if _SECRET_WORD.search(lower) is not None:
            text = _NAMED_SECRET.sub(_named_secret, _SECRET.sub("[secret]", text))
        if "@" in text:
            text = _EMAIL.sub("[email]", text)
        if _MANY_DIGITS.search(lower) is not None:
            text = _PHONE.sub("[phone]", _CARD.sub(_card, _IBAN.sub(_iban, text)))
        return text


def _compiled(pattern: "str | re.Pattern[str]") -> "re.Pattern[str]":
    try:
        compiled = re.compile(pattern)
    except (re.error, TypeError) as error:
        raise ValueError(f"redact must be regular expressions, got {pattern!r}: {error}") from None
    if compiled.search("") is not None:
        raise ValueError(f"redact must be regular expressions that match something, got {pattern!r}")
    return compiled


def _named_secret(match: "re.Match[str]") -> str:
    return f"{match[1] or match[2]}[secret]"


def _card(match: "re.Match[str]") -> str:
    """Luhn's check, which nine in ten numbers that are no cards fail."""
    digits = [int(digit) for digit in match[0] if digit.isdecimal()]
    doubled = [2 * digit - 9 * (digit > 4) for digit in digits[-2::-2]]
    begins = str(digits[0]) in _CARD_BEGINS.get(len(digits), "")
    return "[card]" if begins and (sum(doubled) + sum(digits[-1::-2])) % 10 == 0 else match[0]


def _iban(match: "re.Match[str]") -> str:
    """The check of ISO 13616: the number, its head moved to its end, is 1 modulo 97."""
    text = match[0]
    length = int(_IBAN_LENGTHS.get(text[:2].upper(), 99))
    places = [at for at, char in enumerate(text) if char != " "][:length]
    end = places[-1] + 1
    bare = "".join(text[at] for at in places)
    if len(places) < length or text[end : end + 1].isalnum():  # another word may follow, after a gap
        return text
    valid = int("".join(str(int(char, 36)) for char in bare[4:] + bare[:4])) % 97 == 1
    return f"[iban]{text[end:]}" if valid else text
