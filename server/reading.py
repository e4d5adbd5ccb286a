"""Reading stored explanations: what GetExplanation, ListExplanations and `becausal audit` share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.errors import ExplanationNotFoundError, InvalidFieldError, RequestIdReusedError
from server.pages import Page, parse_page_token

if TYPE_CHECKING:
    from uuid import UUID

    from storage import ExplanationRecord, ExplanationRepository, RequestKey

DEFAULT_PAGE_SIZE = 50
LARGEST_PAGE_SIZE = 500


def read_record(repository: ExplanationRepository, explanation_id: UUID) -> ExplanationRecord:
    """The stored explanation.

    Raises:
        ExplanationNotFoundError: there is none of that id.
    """
    record = repository.get(explanation_id)
    if record is None:
        raise ExplanationNotFoundError(
            "name", f"There is no explanation {explanation_id}; it was never stored here, or it was erased."
        )
    return record


def list_records(repository: ExplanationRepository, page_size: int, page_token: str, filter_text: str) -> Page:
    """A page of stored explanations, newest first.

    Args:
        repository: Where they are stored.
        page_size: Most to return; 0 stands for the default, and more than LARGEST_PAGE_SIZE is taken as that.
        page_token: Where to go on, from the page before; empty for the first.
        filter_text: Conditions (server/pages.py).

    Raises:
        RequestError: the filter, the token or the size cannot be used.
    """
    if page_size < 0:
        raise InvalidFieldError("page_size", f"page_size is {page_size}; give 0 for the default or a positive number.")
    size = min(page_size or DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE)
    spec, before = parse_page_token(page_token, filter_text)
    # One more than asked for tells whether there is a next page without a count.
    return Page.of(repository.list(spec, size + 1, before), size, filter_text)


def given_before(repository: ExplanationRepository, request: RequestKey) -> tuple[ExplanationRecord, ...]:
    """What a request was answered with before; empty when it was not.

    Raises:
        RequestIdReusedError: something else was asked by a request of that id.
    """
    answers = repository.answers(request.key)
    if answers is None:
        return ()
    digest, records = answers
    if digest != request.digest:
        raise RequestIdReusedError(
            "request_id", "request_id was given to another request before; give each request an id of its own."
        )
    return records
