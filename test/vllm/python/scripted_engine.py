"""The Python clients and an engine that calls tools, is full for a moment, and breaks connections: model `a`."""

import json
import time
import unittest

import anthropic
import httpx2
import openai

from gateway import GatewayTest, Tries, anthropic_client, openai_client

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ARGUMENTS = {"city": "Zürich"}


def says(order: str) -> dict:
    return {"model": "a", "messages": [{"role": "user", "content": order}]}


class Tools(GatewayTest):
    def test_openai(self) -> None:
        """OpenAI's client is asked to call a tool, whole and as a stream, and brings its answer back"""
        tools = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}]
        whole = openai_client().chat.completions.create(**says("call a tool"), tools=tools)
        message = whole.choices[0].message
        self.assertEqual(json.loads(message.tool_calls[0].function.arguments), ARGUMENTS)
        pieces = ""
        for chunk in openai_client().chat.completions.create(**says("call a tool"), tools=tools, stream=True):
            for call in chunk.choices[0].delta.tool_calls or []:
                pieces += call.function.arguments or ""
        self.assertEqual(json.loads(pieces), ARGUMENTS)
        messages = [*says("call a tool")["messages"], message.to_dict()]
        messages.append({"role": "tool", "tool_call_id": "call_1", "content": "3 °C"})
        answered = openai_client().chat.completions.create(model="a", messages=messages, tools=tools)
        self.assertEqual(answered.choices[0].message.content, 'it said "3 °C"')

    def test_anthropic(self) -> None:
        """Anthropic's client is asked to call a tool, whole and as a stream"""
        body = {**says("call a tool"), "max_tokens": 64, "tools": [{"name": "weather", "input_schema": PARAMETERS}]}
        self.assertEqual(anthropic_client().messages.create(**body).content[0].input, ARGUMENTS)
        with anthropic_client().messages.stream(**body) as stream:
            self.assertEqual(stream.get_final_message().content[0].input, ARGUMENTS)


class Retries(GatewayTest):
    def test_full_engine(self) -> None:
        """429 and 503: both clients wait as long as they are told, and are answered at the second try"""
        for status in [429, 503]:
            tries = Tries()
            began = time.monotonic()
            client = openai_client(max_retries=2, http_client=tries.http)
            chat = client.chat.completions.create(**says(f"refuse {status} python-openai-{status}"))
            self.assertEqual((chat.choices[0].message.content, tries.statuses), ("try 2", [status, 200]))
            self.assertGreater(time.monotonic() - began, 0.29)
            tries = Tries(httpx2)
            client = anthropic_client(max_retries=2, http_client=tries.http)
            message = client.messages.create(**says(f"refuse {status} python-anthropic-{status}"), max_tokens=9)
            self.assertEqual((message.content[0].text, tries.statuses), ("try 2", [status, 200]))

    def test_broken_before_the_first_byte(self) -> None:
        """a connection that breaks before the first byte is no client's business: llmux asks again"""
        tries = Tries()
        chat = openai_client(http_client=tries.http).chat.completions.create(**says("hang up python-openai"))
        self.assertEqual((chat.choices[0].message.content, tries.statuses), ("try 2", [200]))
        message = anthropic_client().messages.create(**says("hang up python-anthropic"), max_tokens=9)
        self.assertEqual(message.content[0].text, "try 2")

    def test_broken_in_the_middle(self) -> None:
        """a stream that breaks off is an error for both clients, after what had come"""
        text = ""
        with self.assertRaises(openai.APIError):
            for chunk in openai_client().chat.completions.create(**says("break off python-openai"), stream=True):
                text += chunk.choices[0].delta.content or ""
        self.assertEqual(text, "try ")
        types = []
        with self.assertRaises(anthropic.APIError):
            body = {**says("break off python-anthropic"), "max_tokens": 9}
            for event in anthropic_client().messages.create(**body, stream=True):
                types.append(event.type)
        self.assertEqual(types[:1], ["message_start"])
        self.assertNotIn("message_stop", types)


if __name__ == "__main__":
    unittest.main()
