"""A hostile or broken captioning server costs bounded bytes and time, and leaks nothing."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from caption_server import Handler, Server, answers, captioner_of, running_server

from c2vl.core.errors import UserError
from c2vl.prompts.engines.captioner import Answer, NoAnswer
from c2vl.prompts.engines.server import bounded_http
from c2vl.prompts.engines.server.server_text import clean_answer, clean_message

KEY = "secret-token-0123"
COLOURS = "\x1b[31mred\x1b[0m \x1b]0;title\x07\x9b2Jgone\r\x08\x00\x7f"


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


def dripped_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(100):
        handler.wfile.write(b"X-%d: drip\r\n" % number)
        time.sleep(0.05)


def endless_continue(handler: Handler) -> None:
    for _ in range(1000):
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.01)


def dripped_chunks(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(100):
        handler.wfile.write(b"1\r\n \r\n")
        time.sleep(0.05)


def large_body(handler: Handler) -> None:
    handler.reply(200, b" " * 200_000)


def large_continue(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000)


def gzip_bomb(handler: Handler) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 100_000
    handler.reply(200, bomb, Content_Encoding="gzip")


@pytest.mark.parametrize(
    ("attack", "timeout", "failure"),
    [
        (dripped_headers, 0.4, "no answer in time"),
        (endless_continue, 0.4, "no answer in time"),
        (dripped_chunks, 0.4, "no answer in time"),
        (large_body, 20.0, "an answer of more than 4 MiB"),
        (large_continue, 20.0, "an answer of more than 4 MiB"),
        (gzip_bomb, 20.0, "an answer that is not JSON"),
    ],
)
def test_no_answer_costs_more_than_its_bytes_and_seconds(
    server: Server, attack: Any, timeout: float, failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "MAX_ANSWER", 100_000)

    def once(handler: Handler, shade: int, before: int) -> None:
        if before:
            return handler.answer(shade)
        handler.close_connection = True
        attack(handler)

    server.behaviour = once
    captioner = captioner_of(server, timeout=timeout)
    assert answers(captioner, range(1, 3)) == [Answer("shade 1", True), Answer("shade 2", True)]
    assert captioner.connection.failures == {failure: 2}


def test_the_next_request_on_a_connection_gets_its_whole_timeout() -> None:
    here, there = socket.socketpair()
    here.settimeout(5.0)
    stream = bounded_http.BoundedStream(here, time.monotonic() + 1)
    there.send(b"x")
    assert stream.read(1) == b"x" and (here.gettimeout() or 9.0) <= 1.0
    stream.close()
    assert here.gettimeout() == 5.0
    here.close()
    there.close()


def test_an_echoed_key_and_terminal_escapes_reach_neither_rows_nor_the_terminal(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    def echo(handler: Handler, shade: int, before: int) -> None:
        headers = f"{COLOURS} Authorization: {handler.headers['Authorization']}"
        if shade == 1:  # the message is cut inside the key
            handler.reply(400, {"error": {"message": "x" * 135 + headers}})
        elif shade == 2:
            handler.reply(400, headers.encode())
        else:
            choice = {"message": {"content": f"He waves.\n{headers}"}, "finish_reason": "stop"}
            handler.reply(200, {"choices": [choice]})

    server.behaviour = echo
    captioner = captioner_of(server, key=KEY)
    cut, plain, answered = answers(captioner, range(1, 4))
    assert isinstance(cut, NoAnswer) and isinstance(plain, NoAnswer)
    assert answered == Answer("He waves.\nred gone Authorization: Bearer ***", True)
    assert "red gone Authorization: Bearer ***" in plain.reason
    captioner.close()
    for text in (cut.reason, plain.reason, capsys.readouterr().err):
        assert KEY[:4] not in text and text.replace("\n", "").isprintable()


def test_names_of_models_and_refusals_are_cleaned_too(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = {"data": [{"id": f"{COLOURS}{KEY}" * 20}]}
    monkeypatch.setattr(Handler, "do_GET", lambda handler: handler.reply(200, listed))
    with pytest.raises(UserError, match="does not serve") as caught:
        captioner_of(server, key=KEY)
    assert str(caught.value).isprintable() and KEY not in str(caught.value)
    refusal = json.dumps({"error": f"{COLOURS} {KEY}"}).encode()
    monkeypatch.setattr(Handler, "do_GET", lambda handler: handler.reply(401, refusal))
    with pytest.raises(UserError, match="refuses this key") as caught:
        captioner_of(server, key=KEY)
    assert str(caught.value).isprintable() and KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("He holds\n\ta cup.", "He holds\n\ta cup."),
        ("Er hält 2 Gläser 👩‍👧.", "Er hält 2 Gläser 👩‍👧."),
        ("\x1b[1mbold\x1b[0m\x07", "bold"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        (f"the {KEY}", "the ***"),
    ],
)
def test_an_answer_keeps_its_words_and_loses_what_steers_a_terminal(
    text: str, cleaned: str
) -> None:
    assert clean_answer(text, KEY) == cleaned


def test_a_short_key_is_hidden_in_messages_and_left_in_answers() -> None:
    assert clean_answer("a cup", "cup") == "a cup"
    assert clean_message("the key\u202e is\ncup", "cup") == "the key is ***"


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("C2VL_CAPTION_KEY", "sec\nret", "copy the key again"),
        ("C2VL_CAPTION_URL", "http://host/v1?key=secret", "must not hold a password or a query"),
    ],
)
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(
    name: str, value: str, match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from c2vl.prompts.engines.server.connection import Connection

    monkeypatch.setenv("C2VL_CAPTION_URL", "http://host/v1")
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=match) as caught:
        Connection.from_environment()
    assert "ret" not in str(caught.value)
