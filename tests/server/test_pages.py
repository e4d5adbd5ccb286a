"""The filter language and the page tokens bound to it."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explainer.explanation import Status
from server.errors import InvalidFilterError, InvalidPageTokenError
from server.pages import page_token, parse_filter, parse_page_token
from storage import ExplanationFilter, new_id


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ExplanationFilter()),
        ('user_id = "42"', ExplanationFilter(user_id="42")),
        ('item="50" AND status = "EXPLAINED"', ExplanationFilter(target_item="50", status=Status.EXPLAINED)),
        ('cause = "7"', ExplanationFilter(cause_item="7")),
        (
            'create_time >= "2026-01-31T00:00:00Z" AND create_time < "2026-02-01"',
            ExplanationFilter(
                created_from=datetime(2026, 1, 31, tzinfo=UTC), created_before=datetime(2026, 2, 1, tzinfo=UTC)
            ),
        ),
        (r'user_id = "a \"quoted\" \\ AND name"', ExplanationFilter(user_id='a "quoted" \\ AND name')),
    ],
)
def test_conditions_are_read(text: str, expected: ExplanationFilter) -> None:
    assert parse_filter(text) == expected


@given(user_id=st.text())
def test_any_value_can_be_asked_for(user_id: str) -> None:
    quoted = user_id.replace("\\", "\\\\").replace('"', '\\"')

    assert parse_filter(f'user_id = "{quoted}" AND item = "1"').user_id == user_id


@pytest.mark.parametrize(
    "text",
    [
        "user_id",
        "user_id = 42",
        'user_id > "42"',
        'colour = "red"',
        'user_id = "1" OR user_id = "2"',
        'user_id = "1" AND',
        'user_id = "1" user_id = "2"',
        'user_id = "1" AND user_id = "2"',
        'status = "FINE"',
        'create_time >= "yesterday"',
        'user_id = "1',
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(InvalidFilterError, match=r"^filter .*[.]$") as caught:
        parse_filter(text)
    assert caught.value.field == "filter"


@given(text=st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    with contextlib.suppress(InvalidFilterError):
        assert isinstance(parse_filter(text), ExplanationFilter)


def test_a_token_leads_back_to_where_the_page_ended() -> None:
    last = new_id()

    assert parse_page_token(page_token(last, 'item = "1"'), 'item = "1"') == (ExplanationFilter(target_item="1"), last)


def test_a_token_of_another_filter_is_refused() -> None:
    with pytest.raises(InvalidPageTokenError, match="another filter"):
        parse_page_token(page_token(UUID(int=1), 'item = "1"'), 'item = "2"')


@pytest.mark.parametrize("token", ["x", "%%%", "e30=", "bnVsbA==", "W10=", "eyJiZWZvcmUiOiA3fQ==", "é"])
def test_a_malformed_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidPageTokenError, match="start again without it"):
        parse_page_token(token, "")


@given(token=st.text(min_size=1))
def test_no_token_breaks_the_parser(token: str) -> None:
    with pytest.raises(InvalidPageTokenError):
        parse_page_token(token, "")
