import assert from "node:assert/strict";
import { test } from "node:test";
import { mayBeHead, readRequestHead, type ReadHead, type RequestHead } from "./request-head.ts";

function head(headers: readonly string[], line = "POST / HTTP/1.1"): ReadHead | null {
  return readRequestHead([line, ...headers].map((text) => `${text}\r\n`).join(""));
}

function valid(headers: readonly string[], line?: string): RequestHead & Pick<ReadHead, "bodyBytes"> {
  const read = head(headers, line);
  assert.ok(read !== null, `refused: ${line ?? ""} ${headers.join(" | ")}`);
  return { ...read.head, bodyBytes: read.bodyBytes };
}

test("A head is read into its parts; names become small, values lose the blanks around them and nothing else", () => {
  const read = valid(
    ["Host:x", "X-A: \t b \tc\t ", "x-a:", "Content-Length: 007", "X-\x7e: \xe9"],
    "PUT /a?b=%20 HTTP/1.1",
  );
  assert.deepEqual(read, {
    method: "PUT",
    url: "/a?b=%20",
    httpVersion: "1.1",
    rawHeaders: ["host", "x", "x-a", "b \tc", "x-a", "", "x-~", "\xe9"],
    bodyBytes: 7,
    keepsAlive: true,
    expectsContinue: false,
    upgrade: null,
    reading: null,
  });
});

const REFUSED: Readonly<Record<string, readonly string[]>> = {
  "two lengths": ["content-length: 1", "content-length: 2"],
  "one length twice": ["content-length: 1", "Content-Length: 1"],
  "a list of lengths": ["content-length: 1, 1"],
  "a signed length": ["content-length: +1"],
  "a negative length": ["content-length: -1"],
  "a hexadecimal length": ["content-length: 0x1"],
  "an empty length": ["content-length:"],
  "a length with a blank in it": ["content-length: 1 1"],
  "a length beyond exact numbers": ["content-length: 9007199254740993"],
  "a length and chunks": ["content-length: 1", "transfer-encoding: chunked"],
  "chunks and a length": ["transfer-encoding: chunked", "content-length: 1"],
  "chunks twice": ["transfer-encoding: chunked", "transfer-encoding: chunked"],
  "another coding before the chunks": ["transfer-encoding: gzip, chunked"],
  "another coding after the chunks": ["transfer-encoding: chunked, identity"],
  "no coding that is one": ["transfer-encoding: identity"],
  "an empty coding": ["transfer-encoding:"],
  "chunks in quotes": ['transfer-encoding: "chunked"'],
  "chunks behind a tab": ["transfer-encoding:\tchunked"],
  "chunks before a tab": ["Transfer-Encoding: chunked\t"],
  "chunks with a parameter": ["transfer-encoding: chunked;a=b"],
  "two hosts": ["host: a", "host: b"],
  "one host twice": ["host: a", "Host: a"],
  "a list of hosts": ["host: a,b"],
  "a list of hosts and a blank": ["host: a, b"],
  "a blank in its host": ["host: a b"],
  "a tab in its host": ["host: a\tb"],
  "a letter beyond ASCII in its host": ["host: b\xfccher.example"],
  "a user before its host": ["host: user@a"],
  "a path behind its host": ["host: a/b"],
  "a query behind its host": ["host: a?b"],
  "a scheme before its host": ["host: http://a"],
  "a port that is none": ["host: a:b"],
  "two ports": ["host: a:1:2"],
  "an IPv6 address without brackets": ["host: ::1"],
  "brackets around a name": ["host: [localhost]"],
  "half a bracket": ["host: [::1"],
  "something behind brackets": ["host: [::1]a"],
  "brackets around nothing": ["host: []"],
  "a folded line": ["a: b", " c"],
  "a line folded by a tab": ["a: b", "\tc"],
  "a blank before the colon": ["a : b"],
  "a tab before the colon": ["a\t: b"],
  "a blank in a name": ["a b: c"],
  "no name": [": a"],
  "no colon": ["a"],
  "an empty line": ["", "a: b"],
  "a NUL": ["a: \0"],
  "a bare carriage return": ["a: b\rc: d"],
  "a bare line feed": ["a: b\nc: d"],
  "a vertical tab": ["a: \v"],
  "a DEL": ["a: \x7f"],
  "a letter beyond ASCII in a name": ["\xe9: a"],
  "a bracket in a name": ["a(b): c"],
};

for (const [what, headers] of Object.entries(REFUSED)) {
  test(`A head with ${what} is refused`, () => assert.equal(head(headers), null));
}

const REFUSED_LINES = [
  "",
  "GET",
  "GET /",
  "GET / HTTP/1.1 ",
  " GET / HTTP/1.1",
  "GET  / HTTP/1.1",
  "GET /  HTTP/1.1",
  "GET\t/ HTTP/1.1",
  "GET / / HTTP/1.1",
  "get / HTTP/1.1",
  "Get / HTTP/1.1",
  "SMUGGLE / HTTP/1.1",
  "GET / http/1.1",
  "GET / HTTP/1.2",
  "GET / HTTP/1.10",
  "GET / HTTP/0.9",
  "GET / HTTP/2.0",
  "GET / HTTP/3.7",
  "GET / ICY/1.1",
  "PRI * HTTP/2.0",
  "GET /\x80 HTTP/1.1",
  "GET /\xe9 HTTP/1.1",
  "GET /\x7f HTTP/1.1",
  "GET /a#b HTTP/1.1",
  "GET a HTTP/1.1",
  "GET ?a HTTP/1.1",
  "GET *a HTTP/1.1",
  "GET ftp://x/ HTTP/1.1",
  "GET http:///a HTTP/1.1",
  "GET http://a|b/ HTTP/1.1",
  "GET http://a@b@c/ HTTP/1.1",
  "GET http://a@b/ HTTP/1.1",
  "GET http://:80/ HTTP/1.1",
  "GET http://a:b/ HTTP/1.1",
  "GET http://a:1:2/ HTTP/1.1",
  "GET http://[x]/ HTTP/1.1",
  "GET http://[::1/ HTTP/1.1",
  "GET http://a/b#c HTTP/1.1",
  "GET http:/a HTTP/1.1",
  "GET xhttp://a HTTP/1.1",
  "CONNECT x:443 HTTP/1.1",
  "GET /\0 HTTP/1.1",
];

for (const line of REFUSED_LINES) {
  test(`The first line ${JSON.stringify(line)} is refused`, () => assert.equal(head([], line), null));
}

test("Each method that Node knows, and each form of target that a server may get, is taken", () => {
  for (const line of [
    "GET / HTTP/1.1",
    "M-SEARCH /a HTTP/1.0",
    "OPTIONS * HTTP/1.1",
    "GET http://x:1/y?z HTTP/1.1",
    "GET https://[::1]?z HTTP/1.0",
    "GET HtTpS://[::ffff:1.2.3.4]:443/ HTTP/1.1",
    "GET http://a_b-c.d:/ HTTP/1.1",
  ])
    assert.ok(head([], line) !== null, line);
});

test("Each form of a host is taken, and so is an empty one", () => {
  for (const host of [
    "",
    "x",
    "x:80",
    "x:",
    ":80",
    "a_b-c.example.",
    "127.0.0.1:8000",
    "[::1]",
    "[::ffff:1.2.3.4]:443",
  ])
    for (const version of ["1.0", "1.1"])
      assert.deepEqual(valid([`Host: ${host} `], `GET / HTTP/${version}`).rawHeaders, ["host", host]);
});

test("Chunks are known in any case of letters, but not to HTTP/1.0", () => {
  for (const value of ["chunked", "Chunked", "CHUNKED"])
    assert.equal(valid([`transfer-encoding: ${value}`]).bodyBytes, null);
  assert.equal(head(["transfer-encoding: chunked"], "POST / HTTP/1.0"), null);
});

test("Without a length and without chunks there is no body", () => {
  assert.equal(valid([]).bodyBytes, 0);
  assert.equal(valid(["content-length: 0"]).bodyBytes, 0);
  assert.equal(valid(["content-length: 999999999999999"]).bodyBytes, 999_999_999_999_999);
});

function keeps(version: string, ...connection: readonly string[]): boolean {
  const headers = connection.map((value) => `Connection: ${value}`);
  return valid(headers, `GET / HTTP/${version}`).keepsAlive;
}

test("A connection is kept by HTTP/1.1 unless it is to be closed, and by HTTP/1.0 only where that is asked for", () => {
  assert.equal(keeps("1.1"), true);
  assert.equal(keeps("1.1", "keep-alive"), true);
  assert.equal(keeps("1.1", "Close"), false);
  assert.equal(keeps("1.1", "te, close"), false);
  assert.equal(keeps("1.1", "te", "close"), false);
  assert.equal(keeps("1.1", "te \t,\tclose, x"), false);
  assert.equal(keeps("1.0", "k: keep-alive"), false);
  assert.equal(keeps("1.0", "x keep-alive"), false);
  assert.equal(keeps("1.1", "closed"), true);
  assert.equal(keeps("1.0"), false);
  assert.equal(keeps("1.0", "Keep-Alive"), true);
  assert.equal(keeps("1.0", "keep-alive, close"), false);
  assert.equal(keeps("1.0", "close"), false);
});

test("An expectation is understood in HTTP/1.1 alone, and only the one that there is", () => {
  assert.equal(valid(["Expect: 100-Continue"]).expectsContinue, true);
  assert.equal(valid(["expect: 200-ok"]).expectsContinue, false);
  assert.equal(valid(["expect: 100-continue"], "POST / HTTP/1.0").expectsContinue, false);
});

test("An upgrade is asked for by two headers together, and not in HTTP/1.0", () => {
  assert.equal(valid(["Upgrade: WebSocket", "Connection: keep-alive, Upgrade"]).upgrade, "websocket");
  assert.equal(valid(["upgrade: websocket"]).upgrade, null);
  assert.equal(valid(["connection: upgrade"]).upgrade, null);
  assert.equal(valid(["upgrade: websocket", "connection: upgrade"], "GET / HTTP/1.0").upgrade, null);
});

test("Each beginning of a head may be one, and noise may not, from whatever point it is looked at", () => {
  const whole = Buffer.from("POST /a HTTP/1.1\r\nhost: x\r\na:\tb \xe9\r\n", "latin1");
  for (let end = 1; end <= whole.length; end += 1)
    for (let from = 0; from <= end; from += 1) assert.equal(mayBeHead(whole.subarray(0, end), from), true);
  for (const noise of [
    "\x16\x03\x01",
    "get",
    " GET",
    "\n",
    "GET\n",
    "GET\r\rx",
    "GET / HTTP/1.1\r\na: \0",
    "G\x7f",
    "G\rE",
  ])
    assert.equal(mayBeHead(Buffer.from(noise, "latin1"), 0), false, JSON.stringify(noise));
  assert.equal(mayBeHead(Buffer.from("GET\rx"), 4), false);
  assert.equal(mayBeHead(Buffer.from("\r"), 0), true);
});
