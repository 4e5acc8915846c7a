"""The Python clients through llmux to a real vLLM: `tiny-a` chats, `tiny-b` embeds."""

import json
import unittest

import anthropic
import openai

from gateway import GatewayTest, anthropic_client, chat_body, message_body, openai_client, text_of

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Zürich"]}},
    "required": ["city"],
    "additionalProperties": False,
}
CITIES = [{"city": "Paris"}, {"city": "Zürich"}]
VERY_LONG = 15_000


class RealVllm(GatewayTest):
    def test_chat(self) -> None:
        """a chat is the same whole and as a stream"""
        whole = openai_client().chat.completions.create(**chat_body("tiny-a", 24))
        self.assertEqual(whole.usage.completion_tokens, 24)
        streamed = text_of(openai_client().chat.completions.create(**chat_body("tiny-a", 24), stream=True))
        self.assertEqual(streamed, whole.choices[0].message.content)

    def test_tools(self) -> None:
        """a tool is called, whole and as a stream, by OpenAI's and by Anthropic's client"""
        body = {
            "model": "tiny-a",
            "messages": [{"role": "user", "content": "hello world"}],
            "max_tokens": 200,
            "tools": [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS, "strict": True}}],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
        }
        whole = openai_client().chat.completions.create(**body)
        self.assertIn(json.loads(whole.choices[0].message.tool_calls[0].function.arguments), CITIES)
        pieces = ""
        for chunk in openai_client().chat.completions.create(**body, stream=True):
            for call in chunk.choices[0].delta.tool_calls or []:
                pieces += call.function.arguments or ""
        self.assertIn(json.loads(pieces), CITIES)
        body["tools"] = [{"name": "weather", "input_schema": PARAMETERS, "strict": True}]
        body["tool_choice"] = {"type": "tool", "name": "weather"}
        message = anthropic_client().messages.create(**body)
        self.assertIn([block.input for block in message.content if block.type == "tool_use"][0], CITIES)

    def test_embeddings(self) -> None:
        """embeddings come from the model that embeds, once it has its turn"""
        answer = openai_client().embeddings.create(model="tiny-b", input=["hello", "world"])
        self.assertEqual([len(one.embedding) for one in answer.data], [128, 128])

    def test_messages(self) -> None:
        """messages come whole and streamed, and their tokens are counted"""
        body = message_body("tiny-a", 24)
        whole = anthropic_client().messages.create(**body)
        with anthropic_client().messages.stream(**body) as stream:
            self.assertEqual(stream.get_final_message().content[0].text, whole.content[0].text)
        counted = anthropic_client().messages.count_tokens(model="tiny-a", messages=body["messages"])
        self.assertEqual(counted.input_tokens, whole.usage.input_tokens)

    def test_leaving(self) -> None:
        """a stream is closed in its middle, and a client has no more time"""
        stream = openai_client().chat.completions.create(**chat_body("tiny-a", VERY_LONG), stream=True)
        next(iter(stream))
        stream.close()
        with self.assertRaises(openai.APITimeoutError):
            openai_client(timeout=1).chat.completions.create(**chat_body("tiny-a", VERY_LONG))

    def test_errors(self) -> None:
        """errors have their class: a wrong key, an unknown model, too many tokens"""
        with self.assertRaises(openai.AuthenticationError):
            openai_client(api_key="sk-wrong").chat.completions.create(**chat_body("tiny-a"))
        with self.assertRaises(anthropic.NotFoundError):
            anthropic_client().messages.create(**message_body("gpt-17"))
        with self.assertRaises(openai.BadRequestError):
            openai_client().chat.completions.create(**chat_body("tiny-a", 1_000_000))


if __name__ == "__main__":
    unittest.main()
