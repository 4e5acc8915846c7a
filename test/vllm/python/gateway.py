"""The Python clients of the gateway that the environment names, and what they are asked."""

import json
import os
import time
import unittest
import urllib.request

import anthropic
import httpx
import openai

ORIGIN = os.environ["LLMUX_ORIGIN"]
KEY = os.environ["LLMUX_KEY"]


class Tries:
    """What a client did on its own: the status of each of its tries."""

    def __init__(self, library=httpx) -> None:
        """The library is the one whose connections the client takes."""
        self.statuses: list[int] = []
        hooks = {"response": [lambda response: self.statuses.append(response.status_code)]}
        self.http = library.Client(event_hooks=hooks)


def openai_client(**wish) -> openai.OpenAI:
    return openai.OpenAI(**{"base_url": f"{ORIGIN}/v1", "api_key": KEY, "max_retries": 0, **wish})


def async_openai_client() -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{ORIGIN}/v1", api_key=KEY, max_retries=0)


def anthropic_client(**wish) -> anthropic.Anthropic:
    return anthropic.Anthropic(**{"base_url": ORIGIN, "api_key": KEY, "max_retries": 0, **wish})


def chat_body(model: str, tokens: int = 8, content: str = "hello world") -> dict:
    return {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "temperature": 0,
        "seed": 42,
        "max_tokens": tokens,
        "extra_body": {"ignore_eos": True},
    }


def message_body(model: str, tokens: int = 8, content: str = "hello world") -> dict:
    return {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": tokens,
        "extra_body": {"temperature": 0, "seed": 42, "ignore_eos": True},
    }


def text_of(stream) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


class GatewayTest(unittest.TestCase):
    """Its names and first lines are what a run tells."""

    def engine_counts(self, origin: str) -> dict:
        with urllib.request.urlopen(f"{origin}/mock/requests") as answer:
            return json.load(answer)["counts"]

    def assert_left(self, origin: str, gone_before: int) -> None:
        """The stand-in works on nothing any more, and one more client has left it."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            counts = self.engine_counts(origin)
            if counts["running"] == 0 and counts["decoding"] == 0 and counts["client gone"] == gone_before + 1:
                return
        self.fail(f"the engine goes on: {counts}")
