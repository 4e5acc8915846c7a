/** The desk of a worker, the hub of the main thread and the real scheduler, with a channel in between. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { failure, type Failure } from "../base/failure.ts";
import { fifo } from "../core/policies/fifo.ts";
import { Scheduler } from "../core/scheduler.ts";
import { LeaseDesk, type Answer, type Applicant, type Grant } from "../gateway/lease-desk.ts";
import { realClock, until } from "../gateway/testing/stage.ts";
import { LeaseHub, type LeaseHolder } from "./lease-hub.ts";
import type { FromWorker, ToWorker } from "./messages.ts";
import { Outbox } from "./outbox.ts";
import { RemoteScheduler } from "./remote-scheduler.ts";

const now = (): number => realClock.nowMs();

/** One request in a worker. */
class Client implements Applicant {
  readonly story: string[] = [];
  grant: Grant | null = null;
  onGrant(grant: Grant): void {
    this.grant = grant;
    this.story.push("granted");
  }
  onRefusal({ code }: Failure): void {
    this.story.push(`refused: ${code}`);
  }
  onRevoked({ code }: Failure): void {
    this.story.push(`revoked: ${code}`);
    this.grant?.release("failed");
    this.grant = null;
  }
}

/** A worker without a thread. */
class Worker implements LeaseHolder {
  readonly desk: LeaseDesk;
  readonly prepared: string[] = [];
  /** How many messages have gone to the main thread, and to the worker, and of how many parts. */
  readonly sent = { messages: 0, parts: 0 };
  readonly #toWorker: Outbox<ToWorker>;

  constructor(hub: LeaseHub, context: TestContext) {
    const { port1: main, port2: own } = new MessageChannel();
    context.after(() => main.close());
    this.#toWorker = new Outbox<ToWorker>(main);
    const toMain = new Outbox<FromWorker>(own);
    const scheduler: RemoteScheduler = new RemoteScheduler(
      (message) => toMain.say(message),
      () => this.desk,
    );
    const directory = { connection: () => null, info: () => ({ progress: null }) };
    this.desk = new LeaseDesk({ clock: realClock, scheduler: () => scheduler, directory });
    own.on("message", (messages: readonly ToWorker[]) => {
      for (const message of messages) {
        if (message.kind === "granted" || message.kind === "refused" || message.kind === "revoked") {
          scheduler.hear(message);
        }
      }
    });
    main.on("message", (messages: readonly FromWorker[]) => {
      this.sent.messages += 1;
      this.sent.parts += messages.length;
      for (const message of messages) {
        if (message.kind === "request") hub.request(this, message.waiter, message.model, message.priority);
        else if (message.kind === "abandoned") hub.abandoned(this, message.waiter);
        else if (message.kind === "released") hub.released(this, message.lease, message.outcome);
      }
    });
    hub.join(this);
  }

  say(message: ToWorker): void {
    this.#toWorker.say(message);
  }

  prepare(model: string): void {
    this.prepared.push(model);
  }

  ask(model: string): { readonly client: Client; readonly answer: Answer } {
    const client = new Client();
    return { client, answer: this.desk.request(model, client) };
  }
}

function setUp(context: TestContext) {
  const asked: string[] = [];
  /** Happens when the next lease is granted. */
  const granting: (() => void)[] = [];
  const hub: LeaseHub = new LeaseHub({ clock: realClock, scheduler: () => scheduler });
  const scheduler: Scheduler = new Scheduler(
    ["a", "b"].map((id) => ({ id, devices: ["0"], sleepLevel: 1 as const })),
    { policy: fifo({ minActiveMs: 0 }), requestTimeoutMs: 60_000, drainTimeoutMs: null },
    {
      start: (model) => void asked.push(`start ${model}`),
      wake: (model) => void asked.push(`wake ${model}`),
      sleep: (model) => void asked.push(`sleep ${model}`),
      stop: (model) => void asked.push(`stop ${model}`),
      grant: (lease) => {
        for (const meanwhile of granting.splice(0)) meanwhile();
        hub.onGrant(lease);
      },
      refuse: (waiter, reason) => hub.onRefuse(waiter, reason),
      revoke: (lease, reason) => hub.onRevoke(lease, reason),
      alarmAt() {},
      record() {},
      finished() {},
    },
    now(),
  );
  const of = (id: string) => scheduler.snapshot().models.find((model) => model.id === id);
  const inFlight = (id: string): number => of(id)?.inFlight ?? -1;
  const waiting = (id: string): number => of(id)?.waiting ?? -1;
  return {
    hub,
    scheduler,
    asked,
    granting,
    inFlight,
    waiting,
    workers: [new Worker(hub, context), new Worker(hub, context)],
  };
}

type Parts = ReturnType<typeof setUp>;

/** Asks for a, brings it up, and returns the one who has the lease. */
async function awakeWith({ scheduler, asked }: Parts, worker: Worker): Promise<Client> {
  const { client, answer } = worker.ask("a");
  assert.equal(answer.kind, "waiting");
  await until(() => asked.includes("start a"), "it is started");
  scheduler.onAwake("a", now());
  await until(() => client.grant !== null, "the lease has come");
  return client;
}

function two({ workers }: Parts): [Worker, Worker] {
  const [first, second] = workers;
  assert.ok(first !== undefined && second !== undefined);
  return [first, second];
}

test("A lease is granted to the worker that asked, with its own number, and comes back", async (context) => {
  const parts = setUp(context);
  const [first, second] = two(parts);
  const client = await awakeWith(parts, second);
  assert.deepEqual([second.prepared, first.prepared], [["a"], []]);
  assert.equal(parts.inFlight("a"), 1);
  client.grant?.release("served");
  await until(() => parts.inFlight("a") === 0, "it is back");
  assert.deepEqual([parts.hub.leasesOut, second.desk.leasesOut], [0, 0]);
});

test("What is said in one turn goes out as one message", async (context) => {
  const parts = setUp(context);
  const [first] = two(parts);
  await awakeWith(parts, first);
  const before = { ...first.sent };
  const clients = Array.from({ length: 20 }, () => first.ask("a").client);
  await until(() => clients.every(({ grant }) => grant !== null), "all have their leases");
  for (const { grant } of clients) grant?.release("served");
  await until(() => parts.inFlight("a") === 1, "all are back");
  assert.deepEqual(first.sent, { messages: before.messages + 2, parts: before.parts + 40 });
});

test("A lease that crosses with the leaving of its client goes back at once", async (context) => {
  const parts = setUp(context);
  const [first, second] = two(parts);
  await awakeWith(parts, first);
  const { client, answer } = second.ask("a");
  assert.ok(answer.kind === "waiting");
  // The scheduler is granting it at this moment.
  let hasCrossed = false;
  parts.granting.push(() => {
    answer.leave();
    hasCrossed = true;
  });
  await until(() => hasCrossed && parts.inFlight("a") === 1, "it is back");
  assert.deepEqual([client.story, second.desk.leasesOut], [[], 0]);
});

test("A refusal that crosses with the leaving of its client says nothing to anybody", async (context) => {
  const parts = setUp(context);
  const [first] = two(parts);
  const { client, answer } = first.ask("a");
  await until(() => parts.waiting("a") === 1, "it waits");
  assert.ok(answer.kind === "waiting");
  // Both are said in the same turn, each before the other is heard.
  parts.scheduler.onCrashed("a", failure("engine_crashed", "it was killed"), now());
  parts.scheduler.onShutdown(0, now());
  answer.leave();
  await until(() => parts.hub.waiting === 0 && first.sent.parts === 2, "both are said");
  await new Promise((resolve) => void setImmediate(resolve));
  assert.deepEqual(client.story, []);
});

test("One that leaves while it waits is forgotten by the scheduler", async (context) => {
  const parts = setUp(context);
  const [first] = two(parts);
  const { answer } = first.ask("a");
  await until(() => parts.waiting("a") === 1, "it waits");
  assert.ok(answer.kind === "waiting");
  answer.leave();
  await until(() => parts.waiting("a") === 0, "it does not any more");
  assert.equal(parts.hub.waiting, 0);
});

test("A revocation reaches who has the lease, and one that crosses with its release does nothing", async (context) => {
  const parts = setUp(context);
  const [first, second] = two(parts);
  const client = await awakeWith(parts, first);
  const { client: other } = second.ask("a");
  await until(() => other.grant !== null, "the other one has its lease");
  parts.scheduler.onCrashed("a", failure("engine_crashed", "it was killed"), now());
  other.grant?.release("served");
  other.grant = null;
  await until(() => parts.hub.leasesOut === 0, "both are back");
  assert.deepEqual([client.story, other.story], [["granted", "revoked: engine_crashed"], ["granted"]]);
});

test("Places in the queue count all workers, in the order in which they asked", async (context) => {
  const parts = setUp(context);
  const [first, second] = two(parts);
  for (const worker of [first, second, second, first]) {
    const before = parts.hub.waiting;
    worker.ask("b");
    await until(() => parts.hub.waiting === before + 1, "it waits");
  }
  const places = (worker: Worker): number[] => parts.hub.positionsOf(worker).map(({ position }) => position);
  assert.deepEqual(
    [places(first), places(second)],
    [
      [1, 4],
      [2, 3],
    ],
  );
});

test("What a worker that is gone had is given back, those who wait first", async (context) => {
  const parts = setUp(context);
  const [first, second] = two(parts);
  await awakeWith(parts, first);
  first.ask("b");
  first.ask("b");
  await until(() => parts.waiting("b") === 2, "two wait for b");
  const { client } = second.ask("b");
  await until(() => parts.waiting("b") === 3, "and one of the other worker");
  assert.equal(parts.hub.leave(first), 3);
  assert.deepEqual([parts.inFlight("a"), parts.waiting("b"), parts.hub.leasesOut], [0, 1, 0]);
  parts.scheduler.onAsleep("a", now());
  assert.deepEqual(parts.asked, ["start a", "sleep a", "start b"]);
  parts.scheduler.onAwake("b", now());
  await until(() => client.grant !== null, "the other worker's has its lease");
  client.grant?.release("served");
  await until(() => parts.hub.leasesOut === 0, "it is back");
  parts.scheduler.assertInvariants();
});
