import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { MockMachine } from "../started-mock.ts";
import type { StartedMock } from "../started-mock.ts";

// The texts here are those of vLLM 0.32.0.
const machine = new MockMachine();
let mock: StartedMock;
before(async () => {
  const args = ["--served-model-name", "qwen", "alias", "--max-model-len", "2048", "--tensor-parallel-size", "2"];
  mock = await machine.start({ args, env: { MOCK_VLLM_GPUS: "0:24GiB,1:24GiB" } });
});
after(() => machine[Symbol.asyncDispose]());

const chat = "/v1/chat/completions";
const messages = '"messages":[{"role":"user","content":"a"}]';
const json = { "content-type": "application/json" };

async function post(
  target: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = json,
): Promise<{ status: number; body: unknown }> {
  const answer = await mock.fetch(target, { method: "POST", body, headers });
  return { status: answer.status, body: await answer.json() };
}

/** Fails unless the body is refused by the validation with these words. */
async function refused(target: string, body: string, problems: readonly string[], param: string): Promise<void> {
  const count = problems.length === 1 ? "1 validation error:" : `${problems.length} validation errors:`;
  const message = [count, ...problems.map((problem) => `  ${problem}`)].join("\n");
  const wanted = { status: 400, body: { error: { message, type: "Bad Request", param, code: 400 } } };
  assert.deepEqual(await post(target, body), wanted, `${target} ${body}`);
}

async function refusal(target: string, body: string): Promise<unknown> {
  return (await post(target, body)).body;
}

function error(message: string, param: string): object {
  return { error: { message, type: "BadRequestError", param, code: 400 } };
}

function badBody(message: string): object {
  return { error: { message, type: "Bad Request", param: null, code: 400 } };
}

const missing = (field: string, items: number): string =>
  `{'type': 'missing', 'loc': 'body.${field}', 'msg': 'Field required', 'input': '<dict of ${items} items>'}`;
const notText = (field: string, input: string): string =>
  `{'type': 'string_type', 'loc': 'body.${field}', 'msg': 'Input should be a valid string', 'input': '${input}'}`;
const notList = (field: string, input: string): string =>
  `{'type': 'list_type', 'loc': 'body.${field}', 'msg': 'Input should be a valid list', 'input': '${input}'}`;
const notInteger = (loc: string, input: string): string =>
  `{'type': 'int_parsing', 'loc': '${loc}', 'msg': 'Input should be a valid integer, unable to parse string as an integer', 'input': '${input}'}`;

test("what is not JSON is refused at its first mistake", async () => {
  await refused(
    chat,
    '{"model":"tiny-a",',
    [
      "{'type': 'json_invalid', 'loc': 'body.18', 'msg': 'JSON decode error', 'input': '<dict of 0 items>', 'ctx': {'error': 'Expecting property name enclosed in double quotes'}}",
    ],
    "body.18",
  );
  await refused(
    chat,
    '{"a":1 "b":2}',
    [
      `{'type': 'json_invalid', 'loc': 'body.7', 'msg': 'JSON decode error', 'input': '<dict of 0 items>', 'ctx': {'error': "Expecting ',' delimiter"}}`,
    ],
    "body.7",
  );
});

test("JSON that is no object is refused", async () => {
  for (const [body, input] of [
    ["[]", "<list of 0 items>"],
    ['"x"', "x"],
    ["5", "5"],
  ] as const) {
    const problem = `{'type': 'model_attributes_type', 'loc': 'body', 'msg': 'Input should be a valid dictionary or object to extract fields from', 'input': '${input}'}`;
    await refused(chat, body, [problem], "body");
  }
  for (const body of ["null", ""]) {
    await refused(chat, body, ["{'type': 'missing', 'loc': 'body', 'msg': 'Field required', 'input': 'None'}"], "body");
  }
});

test("a body that is not said to be JSON, or is no text, is refused", async () => {
  const message = "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed";
  assert.deepEqual(await post(chat, `{${messages}}`, { "content-type": "text/plain" }), {
    status: 400,
    body: { error: { message, type: "Bad Request", param: null, code: 400 } },
  });
  assert.deepEqual(await post(chat, new Uint8Array([0x1f, 0x8b, 8, 0])), {
    status: 400,
    body: { detail: "There was an error parsing the body" },
  });
});

test("fields that are missing or of the wrong kind are all named, in vLLM's order", async () => {
  await refused(chat, "{}", [missing("messages", 0)], "body.messages");
  await refused(chat, '{"model":5}', [missing("messages", 1), notText("model", "5")], "body.messages");
  await refused(chat, `{${messages},"model":{}}`, [notText("model", "<dict of 0 items>")], "body.model");
  await refused(chat, '{"messages":"a"}', [notList("messages", "a")], "body.messages");
  await refused(
    chat,
    `{${messages},"max_completion_tokens":"x","model":{}}`,
    [notText("model", "<dict of 0 items>"), notInteger("body.max_completion_tokens", "x")],
    "body.model",
  );
  await refused(chat, `{${messages},"stop":5}`, [notText("stop", "5"), notList("stop", "5")], "body.stop");
  await refused(
    chat,
    `{${messages},"stop":["a",5]}`,
    [notText("stop", "<list of 2 items>"), notText("stop.1", "5")],
    "body.stop",
  );
  await refused("/v1/responses", '{"input":5}', [notText("input", "5"), notList("input", "5")], "body.input");
  await refused("/tokenize", "{}", [missing("prompt", 0), missing("messages", 0)], "body.prompt");
  await refused("/detokenize", "{}", [missing("tokens", 0)], "body.tokens");
});

test("numbers and flags are refused by what is wrong with them, and taken in any spelling of Python's", async () => {
  const wrong = {
    '"max_tokens":1.5':
      "{'type': 'int_from_float', 'loc': 'body.max_tokens', 'msg': 'Input should be a valid integer, got a number with a fractional part', 'input': '1.5'}",
    '"max_tokens":[]':
      "{'type': 'int_type', 'loc': 'body.max_tokens', 'msg': 'Input should be a valid integer', 'input': '<list of 0 items>'}",
    '"temperature":"hot"':
      "{'type': 'float_parsing', 'loc': 'body.temperature', 'msg': 'Input should be a valid number, unable to parse string as a number', 'input': 'hot'}",
    '"temperature":{}':
      "{'type': 'float_type', 'loc': 'body.temperature', 'msg': 'Input should be a valid number', 'input': '<dict of 0 items>'}",
    '"stream":"maybe"':
      "{'type': 'bool_parsing', 'loc': 'body.stream', 'msg': 'Input should be a valid boolean, unable to interpret input', 'input': 'maybe'}",
  };
  for (const [field, problem] of Object.entries(wrong)) {
    await refused(chat, `{${messages},${field}}`, [problem], /'loc': '([^']+)'/.exec(problem)?.[1] ?? "");
  }
  for (const field of [
    '"max_tokens":"5"',
    '"max_tokens":1.0',
    '"max_tokens":true',
    '"temperature":"0.5"',
    '"stream":"no"',
  ]) {
    assert.equal((await post(chat, `{${messages},${field}}`)).status, 200, field);
  }
});

test("a missing, empty or null model is the base model, and of two the last counts", async () => {
  for (const model of ["", '"model":"",', '"model":null,', '"model":"nope","model":"qwen",']) {
    const { status, body } = await post(chat, `{${model}${messages},"max_tokens":2}`);
    assert.deepEqual([status, (body as { model: string }).model], [200, "qwen"], model);
  }
  assert.equal((await post("/tokenize", '{"prompt":"a"}')).status, 200);
  assert.equal((await post(chat, `{"model":"qwen",${messages},"model":"nope"}`)).status, 404);
});

test("an unknown model is 404 with the names that would do", async () => {
  const message = "The model `nope` does not exist. Valid aliases: qwen, alias.";
  const wanted = { status: 404, body: { error: { message, type: "NotFoundError", param: "model", code: 404 } } };
  assert.deepEqual(await post(chat, `{"model":"nope",${messages}}`), wanted);
  assert.deepEqual(await post("/v1/completions", '{"model":"nope","prompt":"a"}'), wanted);
  assert.deepEqual(await post("/v1/responses", '{"model":"nope","input":"a"}'), wanted);
  assert.deepEqual(await post("/tokenize", '{"model":"nope","prompt":"a"}'), wanted);
  await using older = new MockMachine({ MOCK_VLLM_VERSION: "0.28.0" });
  const answer = await (
    await older.start()
  ).fetch(chat, { method: "POST", body: `{"model":"nope",${messages}}`, headers: json });
  assert.match(await answer.text(), /"message":"The model `nope` does not exist\."/);
});

test("Anthropic's route has Anthropic's shape for what vLLM's own checks refuse, and OpenAI's for what its validation does", async () => {
  const target = "/v1/messages";
  assert.deepEqual(await post(target, `{"model":"nope",${messages},"max_tokens":5}`), {
    status: 404,
    body: {
      type: "error",
      error: { type: "NotFoundError", message: "The model `nope` does not exist. Valid aliases: qwen, alias." },
    },
  });
  const tooMany = await post(target, `{"model":"qwen",${messages},"max_tokens":99999}`);
  assert.deepEqual(
    [tooMany.status, (tooMany.body as { error: { type: string } }).error.type],
    [400, "BadRequestError"],
  );
  await refused(target, `{${messages}}`, [missing("model", 1), missing("max_tokens", 1)], "body.model");
  await refused(target, `{${messages},"model":null,"max_tokens":5}`, [notText("model", "None")], "body.model");
  await refused(`${target}/count_tokens`, `{${messages}}`, [missing("model", 1)], "body.model");
  assert.equal((await post(target, `{"model":"",${messages},"max_tokens":5}`)).status, 200);
});

test("max_tokens has to be from 1 to the model's length, and is cut down to the room that the prompt leaves", async () => {
  const tooMany = (name: string): object =>
    error(
      `${name}=99999 cannot be greater than max_model_len=2048. Please request fewer output tokens. (parameter=${name}, value=99999)`,
      name,
    );
  assert.deepEqual(await refusal(chat, `{${messages},"max_tokens":99999}`), tooMany("max_tokens"));
  assert.deepEqual(await refusal(chat, `{${messages},"max_tokens":99999,"stream":true}`), tooMany("max_tokens"));
  assert.deepEqual(
    await refusal(chat, `{${messages},"max_completion_tokens":99999}`),
    tooMany("max_completion_tokens"),
  );
  assert.deepEqual(
    await refusal("/v1/responses", '{"input":"a","max_output_tokens":99999}'),
    tooMany("max_output_tokens"),
  );
  assert.deepEqual(
    await refusal(chat, `{${messages},"max_tokens":-1}`),
    error("max_tokens must be at least 1, got -1. (parameter=max_tokens, value=-1)", "max_tokens"),
  );
  assert.deepEqual(
    await refusal("/v1/completions", "{}"),
    error("Either prompt or prompt_embeds must be provided and non-empty. (parameter=prompt)", "prompt"),
  );
  const long = await refusal("/v1/completions", JSON.stringify({ prompt: "a".repeat(3 * 2049) }));
  assert.match(
    JSON.stringify(long),
    /maximum context length is 2048 tokens\. However, your prompt contains at least 2049/,
  );
  const cut = await post(chat, `{${messages},"max_tokens":2048,"ignore_eos":true}`);
  const { usage, choices } = cut.body as { usage: { total_tokens: number }; choices: { finish_reason: string }[] };
  assert.deepEqual([cut.status, usage.total_tokens, choices[0]?.finish_reason], [200, 2048, "length"]);
});

test("an unknown path is 404, a wrong method 405, and a slash too many leads back", async () => {
  for (const target of ["/nope", "/v1/nope"]) {
    assert.deepEqual(await post(target, "{}"), { status: 404, body: { detail: "Not Found" } });
  }
  const wrong = await mock.fetch(chat);
  assert.deepEqual([wrong.status, await wrong.json()], [405, { detail: "Method Not Allowed" }]);
  const slash = await mock.fetch("/sleep/?level=1", { method: "POST", redirect: "manual" });
  assert.deepEqual([slash.status, slash.headers.get("location")], [307, `${mock.url}/sleep?level=1`]);
});

test("a level or a mode that is none is refused", async () => {
  const tooHigh =
    "{'type': 'less_than_equal', 'loc': 'query.level', 'msg': 'Input should be less than or equal to 2', 'input': '7', 'ctx': {'le': 2}}";
  const tooLow =
    "{'type': 'greater_than_equal', 'loc': 'query.level', 'msg': 'Input should be greater than or equal to 0', 'input': '-1', 'ctx': {'ge': 0}}";
  const noMode =
    "{'type': 'literal_error', 'loc': 'query.mode', 'msg': \"Input should be 'abort', 'wait' or 'keep'\", 'input': 'bogus', 'ctx': {'expected': \"'abort', 'wait' or 'keep'\"}}";
  await refused("/sleep?level=7", "", [tooHigh], "query.level");
  await refused("/sleep?level=-1", "", [tooLow], "query.level");
  await refused("/sleep?level=abc", "", [notInteger("query.level", "abc")], "query.level");
  await refused("/sleep?level=", "", [notInteger("query.level", "")], "query.level");
  await refused("/sleep?level=1.5", "", [notInteger("query.level", "1.5")], "query.level");
  await refused("/sleep?mode=bogus", "", [noMode], "query.mode");
  await refused("/sleep?level=7&mode=bogus", "", [tooHigh, noMode], "query.level");
  await refused("/pause?mode=bogus", "", [noMode], "query.mode");
  assert.deepEqual(await mock.get("/is_sleeping"), { is_sleeping: false });
});

test("collective_rpc wants JSON with a method, and one that the workers have", async () => {
  const rpc = refusal.bind(undefined, "/collective_rpc");
  assert.deepEqual(await rpc("{}"), badBody("Missing 'method' in request body"));
  assert.deepEqual(await rpc('{"method":null}'), badBody("Missing 'method' in request body"));
  assert.deepEqual(await rpc("[]"), badBody("Request body must be a JSON object"));
  assert.deepEqual(await rpc("x"), badBody("JSON decode error: Expecting value: line 1 column 1 (char 0)"));
  assert.deepEqual(
    await rpc('{"method":\n"a"} x'),
    badBody("JSON decode error: Extra data: line 2 column 6 (char 16)"),
  );
  assert.deepEqual(await rpc('{"method":"fly"}'), {
    error: {
      message:
        "Call to collective_rpc method failed: Worker failed with error ''Worker' object has no attribute 'fly'', please check the stack trace above for the root cause",
      type: "InternalServerError",
      param: null,
      code: 500,
    },
  });
  assert.equal((await mock.ask()).status, 200);
});
