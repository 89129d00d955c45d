"""The vLLM engine against a server that fails in every way: what is retried, what is not, and what is said."""

import asyncio
import json
import math
import socket
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsav.annotators.engines.chat_protocol import MalformedAnswerError, chat_body, choice_confidence, read_reply
from refsav.annotators.engines.config import EngineConfig
from refsav.annotators.engines.engine import ChatRequest, EngineError, Reply, Sampling, ServersDownError
from refsav.annotators.engines.vllm_engine import VllmEngine
from refsav.errors import ConfigError
from tests.support.faulty_server import PASSING_FAULTS, FaultyServer, Options, running

CHOICES = ("consistent", "conflict")
REQUEST = ChatRequest(
    task="scene",
    model="faulty",
    system="You describe.",
    user="What is it?",
    fields={},
    images=(b"\xff\xd8 one", b"\xff\xd8 two"),
    sampling=Sampling(max_tokens=64, temperature=0.5, seed=7),
    route="sav_000001",
)


def config(*servers: FaultyServer | str, **values: Any) -> EngineConfig:
    addresses = tuple(each if isinstance(each, str) else each.address for each in servers)
    return EngineConfig(**{"kind": "vllm", "addresses": addresses, "backoff_s": 0.002, **values})


def asked(settings: EngineConfig, *requests: ChatRequest) -> list[Reply | BaseException]:
    async def ask() -> list[Reply | BaseException]:
        engine = VllmEngine(settings)
        try:
            return await asyncio.gather(*(engine.answer(each) for each in requests), return_exceptions=True)
        finally:
            await engine.close()

    return asyncio.run(ask())


def checked(settings: EngineConfig) -> str:
    async def check() -> str:
        engine = VllmEngine(settings)
        try:
            return await engine.check()
        finally:
            await engine.close()

    return asyncio.run(check())


def nobody() -> str:
    """An address at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


def test_a_request_arrives_as_the_protocol_wants_it() -> None:
    with running() as server:
        (reply,) = asked(config(server), REQUEST)
        (body,) = server.bodies
    assert isinstance(reply, Reply)
    assert reply.text
    assert reply.finish_reason == "stop"
    assert reply.prompt_tokens > 0
    assert reply.completion_tokens > 0
    assert (body["max_tokens"], body["temperature"], body["seed"]) == (64, 0.5, 7)
    assert body["messages"][0] == {"role": "system", "content": "You describe."}
    urls = [part["image_url"]["url"] for part in body["messages"][1]["content"] if part["type"] == "image_url"]
    assert urls == ["data:image/jpeg;base64,/9ggb25l", "data:image/jpeg;base64,/9ggdHdv"]
    assert body["messages"][1]["content"][-1] == {"type": "text", "text": "What is it?"}


def test_a_choice_comes_from_the_list_with_its_probability() -> None:
    with running() as server:
        (reply,) = asked(config(server), replace(REQUEST, choices=CHOICES))
        (body,) = server.bodies
    assert isinstance(reply, Reply)
    assert reply.text in CHOICES
    assert 0.6 <= reply.confidence < 1
    assert body["structured_outputs"] == {"choice": list(CHOICES)}


@pytest.mark.parametrize("fault", [fault for fault in PASSING_FAULTS if fault != "slow"])
def test_a_passing_fault_is_retried(fault: str) -> None:
    with running(Options(rate=0.5, faults=(fault,), seed=3)) as server:
        replies = asked(config(server, tries=20), *(replace(REQUEST, user=str(number)) for number in range(20)))
    assert all(isinstance(reply, Reply) for reply in replies)
    assert server.faults[fault] > 0
    assert server.paid == 20


def test_a_slow_reply_is_abandoned_and_requested_again() -> None:
    with running(Options(rate=0.5, faults=("slow",), slow_s=30)) as server:
        replies = asked(config(server, timeout_s=0.5, tries=20), *(replace(REQUEST, user=str(n)) for n in range(6)))
    assert server.faults["slow"] > 0
    assert all(isinstance(reply, Reply) for reply in replies)


def test_every_fault_at_one_in_ten_loses_only_what_is_refused_for_good() -> None:
    with running(Options(rate=0.1, slow_s=0.01)) as server:
        replies = asked(config(server), *(replace(REQUEST, user=str(number)) for number in range(300)))
    refused = [reply for reply in replies if isinstance(reply, EngineError)]
    assert len(refused) == server.faults["too-long"]
    assert sum(isinstance(reply, Reply) for reply in replies) == 300 - len(refused)


def test_retry_after_is_honoured() -> None:
    with running(Options(rate=1, faults=("429",), retry_after_s=0.3)) as server:
        begin = time.monotonic()
        (error,) = asked(config(server, tries=2), REQUEST)
    assert time.monotonic() - begin >= 0.3
    assert isinstance(error, EngineError)
    assert "slow down" in str(error)


def test_a_prompt_over_the_context_is_asked_once_and_says_what_to_lower() -> None:
    with running(Options(rate=1, faults=("too-long",))) as server:
        (error,) = asked(config(server), REQUEST)
    assert isinstance(error, EngineError)
    assert server.stats()["requests"] == 1
    assert "4096 tokens" in str(error)
    assert "views.frames" in str(error)
    assert "\n" not in error.line


def test_a_wrong_key_is_named_by_its_variable_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "very-secret")
    with running(Options(api_key="another")) as server:
        settings = config(server, api_key_variable="MY_KEY")
        (error,) = asked(settings, REQUEST)
        with pytest.raises(ConfigError) as refusal:
            checked(settings)
    for said in (str(error), repr(error), str(refusal.value), repr(settings)):
        assert "very-secret" not in said
    assert "MY_KEY" in str(error)
    assert "MY_KEY" in str(refusal.value)


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFSAV_API_KEY", "right")
    with running(Options(api_key="right")) as server:
        (reply,) = asked(config(server), REQUEST)
    assert isinstance(reply, Reply)


def test_a_keys_newline_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFSAV_API_KEY", "right\n")
    with running(Options(api_key="right")) as server:
        assert checked(config(server)) == "faulty"


@pytest.mark.parametrize("key", ["very\nsecret", "vëry-secret"])
def test_what_cannot_be_a_key_is_refused_and_not_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFSAV_API_KEY", key)
    with pytest.raises(ConfigError, match="REFSAV_API_KEY") as refusal:
        checked(config("http://127.0.0.1:1/v1"))
    assert "secret" not in str(refusal.value)


def test_in_flight_is_bounded_per_server() -> None:
    with running(Options(latency_s=0.02)) as server:
        asked(config(server, in_flight_per_server=3), *(replace(REQUEST, user=str(number)) for number in range(20)))
    assert server.peak_in_flight == 3


def test_a_route_stays_with_one_server_and_all_servers_get_routes() -> None:
    with running() as first, running() as second:
        routes = [f"sav_{number:06d}" for number in range(24)]
        asked(config(first, second), *(replace(REQUEST, route=route, user=route) for route in routes for _ in range(3)))
    counts = [*first.seen.values(), *second.seen.values()]
    assert counts == [3] * 24
    assert first.seen
    assert second.seen


def test_a_dead_server_s_requests_go_to_the_other() -> None:
    with running() as server:
        replies = asked(config(nobody(), server), *(replace(REQUEST, route=str(number)) for number in range(8)))
    assert all(isinstance(reply, Reply) for reply in replies)


def test_with_no_server_left_the_build_stops() -> None:
    (error,) = asked(config(nobody(), tries=2), REQUEST)
    assert isinstance(error, ServersDownError)


def test_a_server_that_lists_models_but_answers_nothing_stops_the_build_after_some_requests() -> None:
    async def one_by_one(settings: EngineConfig) -> list[type[BaseException]]:
        engine, kinds = VllmEngine(settings), []
        for number in range(5):
            with pytest.raises((EngineError, ServersDownError)) as error:
                await engine.answer(replace(REQUEST, user=str(number)))
            kinds.append(error.type)
        await engine.close()
        return kinds

    with running(Options(rate=1, faults=("500",))) as server:
        kinds = asyncio.run(one_by_one(config(server, tries=2, give_up_after=4)))
    assert kinds == [EngineError] * 3 + [ServersDownError] * 2


def test_requests_lost_at_the_same_time_stop_the_build_and_fail_no_object() -> None:
    with running(Options(rate=1, faults=("500",), latency_s=0.05)) as server:
        requests = [replace(REQUEST, user=str(number)) for number in range(8)]
        errors = asked(config(server, tries=1, give_up_after=8, backoff_s=0), *requests)
    assert any(isinstance(error, ServersDownError) for error in errors)


def test_check_takes_the_only_model() -> None:
    with running(Options(model="one")) as server:
        assert checked(config(server)) == "one"
        with pytest.raises(ConfigError, match=r"'other' is not served at .*, it serves: one"):
            checked(config(server, model="other"))
        with pytest.raises(ConfigError, match="/v1"):
            checked(config(server.address.removesuffix("/v1")))


def test_check_names_the_server_that_is_missing() -> None:
    address = nobody()
    with running() as server, pytest.raises(ServersDownError, match=f"no server answers at {address}") as error:
        checked(config(server, address))
    assert "refsav serve" in str(error.value)


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8000/v1", "ftp://host/v1", "http://user:word@host/v1", "http://h/?key=1"]
)
def test_addresses_are_plain_base_urls(address: str) -> None:
    with pytest.raises(ConfigError, match="addresses"):
        EngineConfig.from_mapping({"addresses": [address]}, "test")


def steps(*tokens: tuple[str, dict[str, float]]) -> list[tuple[str, list[tuple[str, float]]]]:
    return [(token, [(text, math.log(share)) for text, share in tops.items()]) for token, tops in tokens]


def test_confidence_of_one_token_answers() -> None:
    reported = steps(("yes", {"yes": 0.6, "no": 0.2, "maybe": 0.2}))
    assert choice_confidence("yes", ("yes", "no"), reported) == pytest.approx(0.75)


def test_confidence_follows_a_beginning_that_both_answers_share() -> None:
    reported = steps(("con", {"con": 0.5, "conflict": 0.3, "cons": 0.1}), ("sist", {"sist": 0.8, "flict": 0.2}))
    # For: "cons" 0.1 and 0.5 * 0.8; against: "conflict" 0.3 and 0.5 * 0.2.
    assert choice_confidence("consistent", CHOICES, reported) == pytest.approx(0.5 / 0.9)


def test_confidence_is_neutral_without_probabilities() -> None:
    assert choice_confidence("consistent", CHOICES, []) == 0.5


@given(st.dictionaries(st.sampled_from(["c", "co", "con", "cons", "conf", "conflict", "x", ""]), st.floats(0.01, 1)))
def test_the_confidences_of_all_choices_make_one(tops: dict[str, float]) -> None:
    reported = steps(("cons", tops))
    assert sum(choice_confidence(choice, CHOICES, reported) for choice in CHOICES) == pytest.approx(1)


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"{}", b"[]", b"null", b'{"choices": []}', b'{"choices": [{}]}', b"\xff"]
)
def test_what_is_no_completion_is_malformed(content: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        read_reply(content, (), 0.0)


def test_half_a_character_is_shown_as_a_question_mark() -> None:
    body = {"choices": [{"message": {"content": "a red \ud83d"}, "finish_reason": "stop"}]}
    assert read_reply(json.dumps(body).encode(), (), 0.0).text == "a red ?"


@given(st.binary())
def test_no_body_at_all_breaks_the_reader(content: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        read_reply(content, CHOICES, 0.0)


def test_a_body_is_json_and_holds_no_file_path() -> None:
    body = chat_body(replace(REQUEST, choices=CHOICES))
    assert json.loads(json.dumps(body)) == body
