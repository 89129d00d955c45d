"""The engine against real vLLM servers, VLM and judge being two different models."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from refsav.annotators.engines.config import EngineConfig
from refsav.annotators.engines.engine import ChatRequest, EngineError, Reply, Sampling
from refsav.annotators.engines.vllm_engine import VllmEngine
from refsav.annotators.serving.server_process import RunningServer
from refsav.annotators.stages.reply_checks import read_description
from refsav.annotators.stages.views import encode_view
from refsav.errors import ConfigError
from tests.support.faulty_server import PASSING_FAULTS, Options, running

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]  # the first test waits for its server
CHOICES = ("consistent", "conflict")


def picture(number: int) -> bytes:
    """A JPEG of the size of SA-V's frames, unlike any other number's."""
    small = np.random.default_rng(number).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return encode_view(np.kron(small, np.ones((80, 106, 1), dtype=np.uint8)), 90)


def request(model: str, user: str, *images: bytes, max_tokens: int = 64, temperature: float = 0.0) -> ChatRequest:
    return ChatRequest(
        task="scene",
        model=model,
        system="You describe one object in an image.",
        user=user,
        fields={},
        images=images,
        sampling=Sampling(max_tokens=max_tokens, temperature=temperature, seed=1),
    )


def asked(address: str, *requests: ChatRequest) -> list[Reply | BaseException]:
    async def ask() -> list[Reply | BaseException]:
        engine = VllmEngine(EngineConfig(kind="vllm", addresses=(address,), backoff_s=0.05))
        try:
            model = await engine.check()
            ready = [replace(each, model=each.model or model) for each in requests]
            return await asyncio.gather(*(engine.answer(each) for each in ready), return_exceptions=True)
        finally:
            await engine.close()

    return asyncio.run(ask())


def test_descriptions_end_by_themselves_are_english_and_depend_on_the_image(vlm_server: RunningServer) -> None:
    replies = asked(vlm_server.address, *(request("", "What is it?", picture(number)) for number in range(12)))
    assert all(isinstance(reply, Reply) for reply in replies)
    texts = {read_description(reply, "en") for reply in replies if isinstance(reply, Reply)}
    assert len(texts) > 3


def test_eight_images_go_into_one_request(vlm_server: RunningServer) -> None:
    (one,) = asked(vlm_server.address, request("", "What is it?", picture(0)))
    (eight,) = asked(vlm_server.address, request("", "What is it?", *map(picture, range(8))))
    assert isinstance(one, Reply)
    assert isinstance(eight, Reply)
    assert eight.prompt_tokens - one.prompt_tokens >= 7 * 40


def test_a_cut_off_reply_says_so(vlm_server: RunningServer) -> None:
    (reply,) = asked(vlm_server.address, request("", "What is it?", picture(0), max_tokens=5))
    assert isinstance(reply, Reply)
    assert reply.finish_reason == "length"


def test_the_judge_answers_from_the_list_with_a_probability(judge_server: RunningServer) -> None:
    pairs = [("A red car.", "A red vehicle."), ("A blue bird.", "A white dog."), ("A tree.", "A tree.")]
    requests = [
        replace(request("", f"First: {first} Second: {second} Same thing?", max_tokens=16), choices=CHOICES)
        for first, second in pairs
    ]
    replies = asked(judge_server.address, *requests)
    for reply in replies:
        assert isinstance(reply, Reply)
        assert reply.text in CHOICES
        assert 0.5 <= reply.confidence < 1, "greedy: the likelier answer is taken"
    assert len({reply.confidence for reply in replies if isinstance(reply, Reply)}) == 3


def test_a_prompt_over_the_context_names_what_to_lower(judge_server: RunningServer) -> None:
    (error,) = asked(judge_server.address, request("", "word " * 6000))
    assert isinstance(error, EngineError)
    assert "4096" in str(error)
    assert "views.frames" in str(error)


def test_a_model_that_is_not_served_is_reported_with_those_that_are(judge_server: RunningServer) -> None:
    async def check() -> None:
        engine = VllmEngine(EngineConfig(kind="vllm", addresses=(judge_server.address,), model="gpt"))
        try:
            await engine.check()
        finally:
            await engine.close()

    with pytest.raises(ConfigError, match="smollm2-135m"):
        asyncio.run(check())


def test_many_long_sampled_seeded_prompts_do_not_kill_the_server(judge_server: RunningServer) -> None:
    requests = [
        request("", f"{n} " + "a red car near a fence " * 150, max_tokens=4, temperature=0.7) for n in range(16)
    ]
    replies = asked(judge_server.address, *requests)
    assert all(isinstance(reply, Reply) for reply in replies), replies
    assert judge_server.process.poll() is None


def test_faults_on_the_way_to_a_real_server_lose_nothing(vlm_server: RunningServer) -> None:
    options = Options(model="tiny-vlm", rate=0.3, faults=PASSING_FAULTS, slow_s=0.1, upstream=vlm_server.address)
    requests = [request("", f"What is number {number}?", picture(number)) for number in range(40)]
    with running(options) as between:
        replies = asked(between.address, *requests)
        faults = between.stats()["faults"]
    assert all(isinstance(reply, Reply) for reply in replies)
    assert sum(faults.values()) >= 5
