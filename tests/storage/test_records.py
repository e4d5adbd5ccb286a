"""The JSON document of a record: exact, closed, and refused when it is not what it should be."""

from __future__ import annotations

import dataclasses
import json
import math
import uuid

import pytest
from hypothesis import given, settings

import storage
from explainer.explanation import Explanation, RankedItem
from storage.records import FORMAT, decode, encode
from storage_examples import plain, record, records


@given(records())
@settings(deadline=None)
def test_every_record_is_read_back_exactly(given_record: storage.ExplanationRecord) -> None:
    document = encode(given_record)
    read = decode(document)
    assert read == given_record
    # Equality takes -0.0 for 0.0 and 1 for True; the text shows the difference.
    assert repr(read) == repr(given_record)
    assert encode(read) == document


def test_the_document_opens_with_its_format_and_is_plain_json() -> None:
    made = record(user_id="Zoë")
    document = encode(made)
    assert document.startswith(f'{{"format":{FORMAT},')
    content = json.loads(document)["record"]
    assert content["id"] == str(made.id)
    assert content["user_id"] == "Zoë"
    assert content["explanation"]["status"] == "EXPLAINED"
    assert set(content["explanation"]) == {field.name for field in dataclasses.fields(Explanation)}


def _with_target(**changes: object) -> storage.ExplanationRecord:
    made = record()
    target = dataclasses.replace(plain(RankedItem), **changes)
    return dataclasses.replace(made, explanation=dataclasses.replace(made.explanation, target=target))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"score": math.nan}, id="nan"),
        pytest.param({"score": -math.inf}, id="infinity"),
        pytest.param({"rank": "1"}, id="text-for-number"),
        pytest.param({"rank": 1.5}, id="fraction-for-rank"),
        pytest.param({"title": "\ud800"}, id="half-a-surrogate-pair"),
        pytest.param({"title": None}, id="nothing-for-text"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(changes: dict[str, object]) -> None:
    with pytest.raises(storage.InvalidRecordError, match=r"cannot be written as JSON|not be read back") as caught:
        encode(_with_target(**changes))
    assert caught.value.field == "record"
    assert caught.value.__suppress_context__


def test_an_id_of_another_kind_is_refused() -> None:
    with pytest.raises(storage.InvalidRecordError, match="no UUIDv7"):
        dataclasses.replace(record(), id=uuid.uuid4())


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        pytest.param('{"format":1', '{"format":2', "format 2 and this becausal reads format 1", id="newer-format"),
        pytest.param('"rank":1', '"rank":"1"', r"damaged: record\.explanation\.target\.rank", id="wrong-type"),
        pytest.param('"rank":1', '"rnak":1', "damaged", id="wrong-name"),
        pytest.param('"rank":1', '"rank":1,"extra":1', "damaged", id="unknown-field"),
        pytest.param('"status":"EXPLAINED"', '"status":"SURE"', "damaged", id="unknown-status"),
        pytest.param('"score":0.5', '"score":NaN', "damaged", id="not-a-number"),
        pytest.param('"score":0.5', '"score":0.5e', "not a becausal record", id="no-json"),
        pytest.param('{"format":1', '{"form":1', "not a becausal record", id="no-format"),
    ],
)
def test_a_damaged_document_is_refused_and_the_fault_named(old: str, new: str, reason: str) -> None:
    document = encode(record())
    assert old in document
    with pytest.raises(storage.CorruptRecordError, match=reason):
        decode(document.replace(old, new, 1))


def test_a_document_under_an_id_of_another_kind_is_damaged() -> None:
    made = record()
    with pytest.raises(storage.CorruptRecordError, match="no UUIDv7"):
        decode(encode(made).replace(str(made.id), str(uuid.uuid4())))


def test_messages_keep_the_values_to_themselves() -> None:
    document = encode(record(user_id="secret-user")).replace('"user_id":"secret-user"', '"user_id":["secret-user"]')
    with pytest.raises(storage.CorruptRecordError) as caught:
        decode(document)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_document_of_before_there_were_traces_is_read() -> None:
    made = record()
    content = json.loads(encode(made))
    assert content["record"].pop("trace_parent") == ""

    assert decode(json.dumps(content)) == made
