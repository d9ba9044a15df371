"""The server captioner against a server that is slow, stalls, returns nonsense or dies."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from email.utils import formatdate

import cv2
import numpy as np
import pytest
from caption_server import MODEL, Handler, Server, answers, captioner_of, params, running_server

from c2vl.core.errors import UserError
from c2vl.prompts.engines.adapters import load_captioner
from c2vl.prompts.engines.captioner import QUESTION, Answer, NoAnswer
from c2vl.prompts.engines.fingerprints import fingerprint
from c2vl.prompts.engines.server import connection
from c2vl.prompts.engines.server.connection import retry_after
from c2vl.prompts.engines.server.server_captioner import PAD_COLOUR


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


def test_many_requests_are_in_flight_and_answers_keep_their_order(server: Server) -> None:
    def slow(handler: Handler, shade: int, before: int) -> None:
        time.sleep(0.02 * (25 - shade) / 25)
        handler.answer(shade, "length" if shade == 3 else "stop")

    server.behaviour = slow
    captioner = captioner_of(server)
    assert answers(captioner, range(1, 25)) == [
        Answer(f"shade {shade}", shade != 3) for shade in range(1, 25)
    ]
    assert 2 < server.most <= 8
    assert captioner.batch_size() == 8


def test_the_request_holds_the_papers_question_greedy_settings_and_the_key(server: Server) -> None:
    answers(captioner_of(server, max_new_tokens=77), range(5, 6))
    request = server.requests[0]
    assert (request["model"], request["temperature"], request["max_tokens"]) == (MODEL, 0, 77)
    assert request["messages"][0]["content"][1] == {"type": "text", "text": QUESTION}
    assert server.keys == {"Bearer secret"}


@pytest.mark.parametrize(("pad", "shape"), [(True, (30, 30)), (False, (30, 20))])
def test_crops_are_padded_before_they_are_sent(
    server: Server, pad: bool, shape: tuple[int, int]
) -> None:
    answers(captioner_of(server, pad_to_square=pad), range(20, 21))
    url = server.requests[0]["messages"][0]["content"][0]["image_url"]["url"]
    picture = cv2.imdecode(
        np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR
    )
    assert picture.shape[:2] == shape
    if pad:
        assert np.abs(picture[15, 1, ::-1].astype(int) - PAD_COLOUR).max() < 12


def test_temporary_failures_are_retried_and_every_crop_gets_its_answer(server: Server) -> None:
    def failing(handler: Handler, shade: int, before: int) -> None:
        if before or shade % 6 == 0:
            handler.answer(shade)
        elif shade % 6 == 1:
            handler.reply(503, {"error": {"message": "loading"}})
        elif shade % 6 == 2:
            handler.reply(429, b"slow down", Retry_After="0")
        elif shade % 6 == 3:
            time.sleep(0.6)  # longer than the client waits
        elif shade % 6 == 4:
            handler.reply(200, b"<html>a proxy's page</html>")
        else:  # closes in the middle of an answer
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(b'{"choices": [')
            handler.close_connection = True

    server.behaviour = failing
    captioner = captioner_of(server)
    assert answers(captioner, range(1, 13)) == [
        Answer(f"shade {shade}", True) for shade in range(1, 13)
    ]
    failures = captioner.connection.failures
    assert failures == {
        "HTTP 503": 2,
        "HTTP 429": 2,
        "no answer in time": 2,
        "an answer that is not JSON": 2,
        "connection closed in the middle of an answer": 2,
    }


@pytest.mark.parametrize(
    "nonsense",
    [
        b"[" * 200_000,
        json.dumps(
            {"choices": [{"message": {"content": [{"type": "text", "text": "a"}]}}]}
        ).encode(),
    ],
)
def test_a_nonsense_answer_costs_its_own_crop_only(server: Server, nonsense: bytes) -> None:
    server.behaviour = lambda handler, shade, before: (
        handler.reply(200, nonsense) if shade == 2 else handler.answer(shade)
    )
    one, none, *others = answers(captioner_of(server), range(1, 10))
    assert one == Answer("shade 1", True) and isinstance(none, NoAnswer)
    assert others == [Answer(f"shade {shade}", True) for shade in range(3, 10)]


def test_half_an_emoji_at_the_end_of_an_answer_can_be_written_to_a_table(server: Server) -> None:
    choice = (
        b'{"choices": [{"message": {"content": "He waves \\ud83d"}, "finish_reason": "length"}]}'
    )
    server.behaviour = lambda handler, shade, before: handler.reply(200, choice)
    assert answers(captioner_of(server), range(1, 2)) == [Answer("He waves ?", False)]


def test_a_server_that_drips_bytes_is_given_up_in_time(server: Server) -> None:
    def dripping(handler: Handler, shade: int, before: int) -> None:
        if before:
            return handler.answer(shade)
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(50):
            handler.wfile.write(b" ")
            time.sleep(0.1)

    server.behaviour = dripping
    captioner, began = captioner_of(server), time.monotonic()
    assert answers(captioner, range(1, 4)) == [
        Answer(f"shade {shade}", True) for shade in range(1, 4)
    ]
    assert time.monotonic() - began < 3 and captioner.connection.failures == {
        "no answer in time": 3
    }


def test_a_refused_crop_gets_a_reason_and_the_others_go_on(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    def picky(handler: Handler, shade: int, before: int) -> None:
        if shade == 3:
            handler.reply(
                400, {"error": {"message": "image\ntoo small", "type": "BadRequestError"}}
            )
        elif shade == 5:
            handler.reply(200, {"object": "error", "message": "what?"})
        elif shade == 7:
            handler.reply(500, b"")  # always
        else:
            handler.answer(shade)

    server.behaviour = picky
    captioner = captioner_of(server)
    given = answers(captioner, range(1, 10))
    assert [shade for shade, one in enumerate(given, 1) if isinstance(one, Answer)] == [
        1,
        2,
        4,
        6,
        8,
        9,
    ]
    bad = [one.reason for one in given if isinstance(one, NoAnswer)]
    assert bad == [
        "the captioning server refused the crop (HTTP 400: image too small)",
        "the captioning server's answer is no chat completion",
        "the captioning server gave no answer in 6 tries (last: HTTP 500)",
    ]
    assert (server.asked[3], server.asked[5], server.asked[7]) == (1, 1, 6)
    captioner.report()
    report = capsys.readouterr().err
    assert "caption: 6 answers" in report and "8 in flight" in report and "6 × HTTP 500" in report


@pytest.mark.parametrize("death", ["refuses connections", "stalls", "answers 502"])
def test_a_server_that_dies_ends_the_run_soon_in_one_sentence(server: Server, death: str) -> None:
    captioner = captioner_of(server, in_flight=4)
    assert len(answers(captioner, range(1, 5))) == 4
    if death == "refuses connections":
        server.shutdown()
        server.server_close()
        captioner.connection._http.close()
    elif death == "stalls":
        server.behaviour = lambda handler, shade, before: time.sleep(1)
    else:
        server.behaviour = lambda handler, shade, before: handler.reply(502, b"bad gateway")
    began = time.monotonic()
    with pytest.raises(
        UserError,
        match=r"gives no answers .* start it and run again: every answer so far is kept\.$",
    ):
        for _ in range(50):
            answers(captioner, range(1, 25))
    assert time.monotonic() - began < 4


def test_a_server_that_refuses_all_crops_ends_the_run_early(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "USELESS", 10)
    server.behaviour = lambda handler, shade, before: handler.reply(
        400, {"error": "this model takes no images"}
    )
    with pytest.raises(UserError, match=r"not answered one of 10 requests.*takes no images"):
        answers(captioner_of(server), range(1, 25))
    assert server.asked.total() < 25


@pytest.mark.parametrize(
    ("status", "match"), [(401, "refuses this key"), (404, "no OpenAI-compatible interface")]
)
def test_a_wrong_key_or_address_is_one_sentence(server: Server, status: int, match: str) -> None:
    captioner = captioner_of(server)
    server.behaviour = lambda handler, shade, before: handler.reply(
        status, {"error": {"message": "no"}}
    )
    with pytest.raises(UserError, match=match) as caught:
        answers(captioner, range(1, 3))
    assert "secret" not in str(caught.value)


def test_a_server_without_the_model_is_refused_before_the_first_crop(
    server: Server,
) -> None:
    with pytest.raises(UserError, match=f"does not serve 'llama' but {MODEL}"):
        captioner_of(server, server={"model": "llama"})
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match=r"cannot be used: .*connection refused"):
        captioner_of(server)


def test_the_fingerprint_holds_model_and_question_but_not_the_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = fingerprint(params())
    monkeypatch.setenv("C2VL_CAPTION_URL", "http://elsewhere:1/v1")
    monkeypatch.setenv("C2VL_CAPTION_IN_FLIGHT", "3")
    assert fingerprint(params()) == base == fingerprint(params(model="the/local/one is not read"))
    for change in (
        {"server": {"model": MODEL}},
        {"server": {"model": "other", "revision": "b234b80"}},
        {"question": "What?"},
    ):
        assert fingerprint(params(**change)) != base


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("", "set C2VL_CAPTION_URL"),
        ("host:8000", "such as http"),
        ("http://me:pw@host/v1", "must not hold"),
    ],
)
def test_the_address_comes_from_the_environment(
    url: str, match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("C2VL_CAPTION_URL", url)
    with pytest.raises(UserError, match=match) as caught:
        load_captioner(params(), lambda: pytest.fail("no device is needed"))
    assert "pw" not in str(caught.value)


def test_retry_after_is_a_number_or_a_date_and_never_too_long() -> None:
    assert retry_after("7") == 7
    assert retry_after("9999") == 60
    assert 3 < retry_after(formatdate(time.time() + 5, usegmt=True)) <= 5
    assert (
        retry_after(formatdate(time.time() - 5, usegmt=True))
        == retry_after("soon")
        == retry_after(None)
        == 0
    )
