"""The Python clients through llmux to stand-in engines that take turns: `a`, `b` and `slow`."""

import asyncio
import os
import unittest

import anthropic
import openai

from gateway import (
    GatewayTest,
    anthropic_client,
    async_openai_client,
    chat_body,
    message_body,
    openai_client,
    text_of,
)

SLOW_ENGINE = os.environ.get("LLMUX_SLOW_ENGINE", "")


class Answers(GatewayTest):
    def test_chat(self) -> None:
        """a chat is the same whole and as a stream, and models that take turns say different things"""
        said = {}
        for model in ["a", "b", "a"]:
            whole = openai_client().chat.completions.create(**chat_body(model, 12))
            text = text_of(openai_client().chat.completions.create(**chat_body(model, 12), stream=True))
            self.assertNotEqual(text, "")
            self.assertEqual(text, whole.choices[0].message.content)
            self.assertEqual(said.setdefault(model, text), text)
        self.assertNotEqual(said["a"], said["b"])

    def test_embeddings(self) -> None:
        """embeddings come in base64, which the client asks for by itself, and the same as numbers"""
        packed = openai_client().embeddings.create(model="a", input=["one", "two"])
        plain = openai_client().embeddings.create(model="a", input=["one", "two"], encoding_format="float")
        self.assertEqual(len(packed.data), 2)
        for one, other in zip(packed.data, plain.data, strict=True):
            for value, same in zip(one.embedding, other.embedding, strict=True):
                self.assertAlmostEqual(value, same, places=6)

    def test_responses_and_forms(self) -> None:
        """a response is found again by its id, and a form with a file is answered"""
        made = openai_client().responses.create(model="a", input="Hello!", temperature=0, max_output_tokens=5)
        self.assertEqual(openai_client().responses.retrieve(made.id).output_text, made.output_text)
        said = openai_client().audio.transcriptions.create(model="a", file=("speech.wav", b"7" * 200_000))
        self.assertNotEqual(said.text, "")

    def test_models(self) -> None:
        """the models are listed and found one by one"""
        self.assertEqual([model.id for model in openai_client().models.list()], ["a", "b", "slow"])
        self.assertEqual(openai_client().models.retrieve("b").id, "b")

    def test_messages(self) -> None:
        """Anthropic's client gets messages whole and streamed, and counts tokens"""
        body = message_body("a", 12)
        whole = anthropic_client().messages.create(**body)
        with anthropic_client().messages.stream(**body) as stream:
            streamed = stream.get_final_message()
        self.assertEqual(streamed.usage.output_tokens, 12)
        self.assertNotEqual(streamed.content[0].text, "")
        self.assertEqual(streamed.content[0].text, whole.content[0].text)
        counted = anthropic_client().messages.count_tokens(model="a", messages=body["messages"])
        self.assertEqual(counted.input_tokens, whole.usage.input_tokens)

    def test_many_at_once(self) -> None:
        """forty requests at once of the asynchronous client, for both models, are all answered"""

        async def ask_all() -> list[int]:
            async with async_openai_client() as client:
                asks = [client.chat.completions.create(**chat_body("ab"[at % 2])) for at in range(40)]
                return [chat.usage.completion_tokens for chat in await asyncio.gather(*asks)]

        self.assertEqual(asyncio.run(ask_all()), [8] * 40)


class Leaving(GatewayTest):
    def test_abort(self) -> None:
        """a stream that is closed ends at the engine too"""
        gone = self.engine_counts(SLOW_ENGINE)["client gone"]
        stream = openai_client().chat.completions.create(**chat_body("slow", 5_000), stream=True)
        next(iter(stream))
        stream.close()
        self.assert_left(SLOW_ENGINE, gone)

    def test_timeout(self) -> None:
        """a client whose time is up says so by its own error, and the engine stops"""
        gone = self.engine_counts(SLOW_ENGINE)["client gone"]
        with self.assertRaises(openai.APITimeoutError):
            openai_client(timeout=0.5).chat.completions.create(**chat_body("slow", 5_000))
        self.assert_left(SLOW_ENGINE, gone)
        gone = self.engine_counts(SLOW_ENGINE)["client gone"]
        with self.assertRaises(anthropic.APITimeoutError):
            anthropic_client(timeout=0.5).messages.create(**message_body("slow", 5_000))
        self.assert_left(SLOW_ENGINE, gone)


class Errors(GatewayTest):
    def refused(self, status: int, classes: tuple, code: str, kind: str, key: str | None = None, **body) -> None:
        wish = {} if key is None else {"api_key": key}
        with self.assertRaises(classes[0]) as caught:
            openai_client(**wish).chat.completions.create(**chat_body(**body))
        self.assertEqual((caught.exception.status_code, caught.exception.code), (status, code))
        self.assertIsNotNone(caught.exception.request_id)
        with self.assertRaises(classes[1]) as caught:
            anthropic_client(**wish).messages.create(**message_body(**body))
        self.assertEqual((caught.exception.status_code, caught.exception.body["error"]["type"]), (status, kind))
        self.assertIsNotNone(caught.exception.request_id)

    def test_key(self) -> None:
        """401 for a wrong key"""
        classes = (openai.AuthenticationError, anthropic.AuthenticationError)
        self.refused(401, classes, "invalid_api_key", "authentication_error", key="sk-wrong", model="a")

    def test_other_model(self) -> None:
        """403 for a model that the key is not for"""
        classes = (openai.PermissionDeniedError, anthropic.PermissionDeniedError)
        key = os.environ["LLMUX_KEY_FOR_A"]
        self.refused(403, classes, "model_not_allowed", "permission_error", key=key, model="b")

    def test_unknown_model(self) -> None:
        """404 for a model that there is not"""
        classes = (openai.NotFoundError, anthropic.NotFoundError)
        self.refused(404, classes, "model_not_found", "not_found_error", model="gpt-17")

    def test_large_body(self) -> None:
        """413 for a body of 3 MB where 1 MiB is the limit"""
        classes = (openai.APIStatusError, anthropic.APIStatusError)
        self.refused(413, classes, "body_too_large", "request_too_large", model="a", content="x" * 3_000_000)

    def test_engine_refuses(self) -> None:
        """400 is the engine's own word"""
        with self.assertRaises(openai.BadRequestError):
            openai_client().chat.completions.create(**chat_body("a", -1))


if __name__ == "__main__":
    unittest.main()
