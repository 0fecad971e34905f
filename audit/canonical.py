"""Canonical bytes: RFC 8785 JSON over strings, integers, booleans, null, lists and objects with string keys.

Over this part of JSON, sorted keys and no white space are all that RFC 8785 asks for, save that it sorts keys by UTF-16 code
units; keys outside the basic plane and floats are therefore refused rather than written in an order of our own.
"""

from typing import Any

import orjson

SAFE_INTEGER = 2**53 - 1


def canonical(value: Any) -> bytes:
    """The canonical bytes of `value`. Raises ValueError for floats, integers beyond 2^53-1, and keys beyond U+FFFF."""
    _check(value)
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _check(value: Any) -> None:
    if value is None or isinstance(value, bool | str):
        return
    if isinstance(value, int):
        if abs(value) > SAFE_INTEGER:
            raise ValueError(f"integer out of range for canonical JSON, write it as a string: {value}")
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or any(ord(character) > 0xFFFF for character in key):
                raise ValueError(f"not a key of canonical JSON: {key!r}")
            _check(item)
    else:
        raise ValueError(f"canonical JSON holds no {type(value).__name__}: {value!r}")
