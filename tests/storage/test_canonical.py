"""Canonical JSON on the serving path: the same bytes as the library's, for every document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st

from becausal.audit.entries import canonical_text
from storage.records import encode
from storage_examples import records

if TYPE_CHECKING:
    import storage

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53) + 1, 2**53 - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(made=records())
@settings(deadline=None)
def test_every_record_has_the_bytes_of_the_library(made: storage.ExplanationRecord) -> None:
    document = encode(made)
    assert canonical_text(document) == rfc8785.dumps(json.loads(document))


@given(value=VALUES, escaped=st.booleans())
@example(value={"\U00010000": 1, "\uffff": 2}, escaped=False)
@example(value=["\0" + "1" + "\0", "\\u0000", 1.0, -0.0, 1e-7, 1e-5, 1e16, 1e21, 1e22, 5e-324], escaped=False)
def test_every_value_has_the_bytes_of_the_library(value: object, *, escaped: bool) -> None:
    document = json.dumps(value, ensure_ascii=escaped)
    assert canonical_text(document) == rfc8785.dumps(json.loads(document))


@pytest.mark.parametrize("document", ["9007199254740992", "-9007199254740992", "[1e400]", "NaN", "[Infinity]", "{", ""])
def test_what_has_no_canonical_form_is_refused(document: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any of them
        canonical_text(document)
