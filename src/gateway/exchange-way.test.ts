import assert from "node:assert/strict";
import { test } from "node:test";
import { Dispatcher } from "undici";
import { failure } from "../base/failure.ts";
import { HeaderBlock } from "../base/header-block.ts";
import { FakeClock } from "../orchestrator/testing/fake-clock.ts";
import type { EngineConnection } from "../ports/engine-directory.ts";
import { ExchangeWay, type ExchangeWayOwner } from "./exchange-way.ts";
import { asked } from "./http1/testing/asked.ts";
import { LateWork } from "./late-work.ts";
import { LeaseDesk } from "./lease-desk.ts";
import { ToldScheduler } from "./testing/told-scheduler.ts";

const CRASHED = failure("engine_crashed", "killed");

/** An engine that does what a test says: each request is at its handler's mercy. */
class PlayedEngine extends Dispatcher {
  readonly handlers: Dispatcher.DispatchHandler[] = [];
  readonly #told: string[];

  /** What is done to it goes to `told`. */
  constructor(told: string[]) {
    super();
    this.#told = told;
  }

  override dispatch(_options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    this.handlers.push(handler);
    handler.onRequestStart?.(this.#controller(), {});
    return true;
  }

  answer(status: number, text: string): void {
    const handler = this.#last;
    const controller = this.#controller();
    handler.onResponseStart?.(controller, status, { "content-type": "application/json" }, "");
    handler.onResponseData?.(controller, Buffer.from(text));
    handler.onResponseEnd?.(controller, {});
  }

  /** To the request that came last. */
  fail(error: Error): void {
    this.#last.onResponseError?.(this.#controller(), error);
  }

  get #last(): Dispatcher.DispatchHandler {
    return this.handlers.at(-1) ?? assert.fail("nothing was sent");
  }

  #controller(): Dispatcher.DispatchController {
    return {
      aborted: false,
      paused: false,
      reason: null,
      rawHeaders: null,
      rawTrailers: null,
      pause() {},
      resume() {},
      abort: () => void this.#told.push("engine let go"),
    };
  }
}

interface Play {
  readonly way: ExchangeWay;
  readonly client: Awaited<ReturnType<typeof asked>>;
  readonly engine: PlayedEngine;
  readonly desk: LeaseDesk;
  readonly scheduler: ToldScheduler;
  readonly clock: FakeClock;
  /** What the scheduler and the engine were told, in order. */
  readonly told: string[];
  /** What the owner was told. */
  readonly heard: string[];
  readonly bugs: unknown[];
  isOver: boolean;
  /** Takes back the lease of this number, as the scheduler does it. */
  readonly revoke: (lease: number) => void;
}

/** A request whose leases are given at once. */
async function begun(): Promise<Play> {
  const clock = new FakeClock();
  const scheduler = new ToldScheduler();
  const { heard: told } = scheduler;
  const engine = new PlayedEngine(told);
  const connection: EngineConnection = { origin: "http://engine", dispatcher: engine, health: async () => "unknown" };
  const directory = { connection: () => connection, info: () => assert.fail("not asked for") };
  const desk = new LeaseDesk({ clock, scheduler: () => scheduler, directory });
  const leases = new Map<number, ReturnType<ToldScheduler["lease"]>>();
  scheduler.reply = (waiter) => {
    const lease = scheduler.lease(waiter);
    leases.set(lease.id, lease);
    desk.onGrant(lease);
  };
  const heard: string[] = [];
  const bugs: unknown[] = [];
  const owner: ExchangeWayOwner = {
    isOver: () => play.isOver,
    onWaiting: (place) => void heard.push(place === null ? "waits for news" : "waits in the queue"),
    onSending: () => ({ lines: "", isOpened: false }),
    onBlocked() {},
    onAnswered: (status) => void heard.push(`answered ${status}`),
    onMisplacedAnswer: () => void heard.push("misplaced"),
    onFailed: ({ code }) => void heard.push(`failed ${code}`),
    onBroken: ({ code }) => void heard.push(`broken ${code}`),
    guard(step) {
      try {
        step();
      } catch (error) {
        bugs.push(error);
      }
    },
  };
  const client = await asked();
  const request = {
    model: "m",
    method: "POST",
    path: "/",
    headers: new HeaderBlock([]),
    body: null,
    madeResponses: null,
  };
  const to = { response: client.played.response, request, priority: undefined };
  const way = new ExchangeWay(
    { desk, clock, lateWork: new LateWork(clock, () => true), crashNoticeMs: 1_000 },
    owner,
    to,
  );
  const revoke = (id: number): void => {
    const lease = leases.get(id) ?? assert.fail(`there is no lease ${id}`);
    scheduler.speak(() => desk.onRevoke(lease, CRASHED));
  };
  const play: Play = { way, client, engine, desk, scheduler, clock, told, heard, bugs, isOver: false, revoke };
  way.begin();
  return play;
}

function refusedConnection(): Error {
  return Object.assign(new Error("nobody listens"), { code: "ECONNREFUSED" });
}

test("At the end the engine is let go first, and then the lease", async () => {
  const { way, told } = await begun();
  way.end("abandoned");
  assert.deepEqual(told, ["request 1 m", "engine let go", "released 1 abandoned"]);
});

for (const [status, outcome] of [
  [200, "served"],
  [404, "served"],
  [500, "failed"],
] as const) {
  test(`A lease that is taken back when the engine has answered ${status} whole, and only the client still reads, counts as ${outcome}`, async () => {
    const { client, engine, told, heard, clock, revoke } = await begun();
    client.socket.isStuck = true;
    engine.answer(status, "x".repeat(100_000));
    await clock.pass(0);
    assert.equal(client.played.response.isEnded, true);
    assert.equal(client.played.response.isFinished, false);
    revoke(1);
    await clock.pass(0);
    assert.deepEqual(told, ["request 1 m", `released 1 ${outcome}`]);
    assert.deepEqual(heard, [`answered ${status}`]);
    client.socket.unstick();
    await client.settle();
    assert.equal(client.played.response.isFinished, true);
  });
}

test("An error that comes with the end of the lease is no news: the request has been sent again by then", async () => {
  const { way, engine, told, heard, clock, revoke } = await begun();
  revoke(1);
  engine.fail(refusedConnection());
  await clock.pass(0);
  const sentAgain = ["request 1 m", "released 1 failed", "request 2 m"];
  assert.deepEqual([told, heard, engine.handlers.length], [sentAgain, [], 2]);
  await clock.pass(5_000);
  assert.deepEqual([told, heard], [sentAgain, []]);
  way.end("abandoned");
});

test("An error that comes with the client's leaving leads to nothing", async () => {
  const play = await begun();
  play.engine.fail(refusedConnection());
  play.isOver = true;
  play.way.end("abandoned");
  await play.clock.pass(0);
  assert.deepEqual([play.heard, play.told], [[], ["request 1 m", "released 1 abandoned"]]);
  assert.equal(play.clock.pending, 0, "nothing is waited for");
});

test("An error that neither the network nor the engine makes is a bug of ours, and nothing is tried again", async () => {
  for (const bug of [new TypeError("a bug"), Object.assign(new Error("a bug"), { code: "ERR_ASSERTION" })]) {
    const { way, engine, heard, bugs, clock } = await begun();
    engine.fail(bug);
    await clock.pass(5_000);
    assert.deepEqual([bugs, heard, engine.handlers.length], [[bug], [], 1]);
    way.end("failed");
  }
});
