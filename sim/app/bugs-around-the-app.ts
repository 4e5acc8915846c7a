/** Deliberate bugs between the app and its world, and the rules that must notice them. */
import type { Dispatcher } from "undici";
import type { HttpAnswer } from "../../src/ports/http-client.ts";
import type { ProcessHost } from "../../src/ports/process-host.ts";
import type { Platform } from "../../src/platform/platform.ts";
import type { PlatformMutation } from "./app-world.ts";
import type { AppRule } from "./referee.ts";

/** A bug and who may notice it first. */
export interface AppBug {
  readonly mutation: PlatformMutation;
  readonly noticedBy: readonly AppRule[];
  /** The first seed that shows it, where that is not one of the first few. */
  readonly firstSeed?: number;
}

/** By a sentence that says what llmux would be. Each is made anew for every run, since some of them count. */
export const BUGS_AROUND_THE_APP: Readonly<Record<string, () => AppBug>> = {
  "forgets timers": () => ({
    mutation: (platform) => {
      let count = 0;
      return {
        ...platform,
        clock: withClock(platform, (delayMs, fire) => {
          count += 1;
          return count % 50 === 0 ? { cancel() {} } : platform.clock.after(delayMs, fire);
        }),
      };
    },
    noticedBy: ["the end comes", "no client hangs", "nobody waits longer than the timeout", "heartbeats come in time"],
  }),
  "does not take its timers back": () => ({
    mutation: (platform) => ({
      ...platform,
      clock: withClock(platform, (delayMs, fire) => {
        platform.clock.after(delayMs, fire);
        return { cancel() {} };
      }),
    }),
    noticedBy: ["the end leaves nothing", "every end is a proper one", "the end comes", "llmux itself is sound"],
    firstSeed: 8,
  }),
  "waits for its engines for ever": () => ({
    mutation: (platform) => withCalls(platform, (call, go) => go({ ...call, timeoutMs: 10 ** 9 })),
    noticedBy: ["what hangs is given up"],
    firstSeed: 9,
  }),
  "takes every answer of an engine for a good one": () => ({
    mutation: (platform) =>
      withCalls(platform, async (call, go) => {
        const answer = await go(call);
        return answer.status === 500 ? { status: 200, body: '{"status":"awake"}' } : answer;
      }),
    noticedBy: [
      "GPU memory is never over-committed",
      "only an awake engine gets requests",
      "one transition a device",
      "weights are back before anything runs on them",
      "no client hangs",
    ],
    firstSeed: 30,
  }),
  "wakes in one go what has no weights yet": () => ({
    mutation: (platform) =>
      withCalls(platform, (call, go) =>
        call.url.endsWith("/collective_rpc")
          ? Promise.resolve({ status: 200, body: "" })
          : go({ ...call, url: call.url.replace(/\?tags=\w+$/, "") }),
      ),
    noticedBy: ["weights are back before anything runs on them"],
  }),
  "sends sleeping engines deeper instead of waking them": () => ({
    mutation: (platform) =>
      withCalls(platform, (call, go) =>
        call.url.endsWith("/wake_up") ? Promise.resolve({ status: 200, body: '{"status":"awake"}' }) : go(call),
      ),
    noticedBy: ["only an awake engine gets requests"],
  }),
  "does not look for the children of its engines": () => ({
    mutation: (platform) =>
      withProcesses(platform, (host) => ({
        relatives: (kinship) => host.relatives(kinship).filter((pid) => pid === kinship.leaderPid),
      })),
    noticedBy: ["the end leaves nothing", "GPU memory is never over-committed", "one transition a device"],
  }),
  "never kills": () => ({
    mutation: (platform) =>
      withProcesses(platform, (host) => ({
        signal: (leader, pids, signal) => signal === "SIGTERM" && host.signal(leader, pids, signal),
      })),
    noticedBy: ["the end leaves nothing", "the end comes", "the next start ends what was left"],
  }),
  "does not notice that an engine has ended": () => ({
    mutation: (platform) =>
      withProcesses(platform, (host) => ({
        spawn: async (request) => ({ pid: (await host.spawn(request)).pid, exited: new Promise(() => {}) }),
      })),
    noticedBy: ["an end is noticed at once"],
  }),
  "forgets which engines it has started": () => ({
    mutation: (platform) =>
      withProcesses(platform, (host) => ({
        marked: () => [],
        identify: (pid) => {
          const found = host.identify(pid);
          return found === null ? null : { ...found, startTime: `another boot:${Math.random()}` };
        },
      })),
    noticedBy: ["the next start ends what was left"],
    firstSeed: 16,
  }),
  "believes that a sleep has freed what it should": () => ({
    mutation: (platform) => ({
      ...platform,
      createGpuProbe: (command) => ({
        ...platform.createGpuProbe(command),
        usedBytesBy: () => Promise.resolve(null),
        sharesOf: () => Promise.resolve(null),
      }),
    }),
    noticedBy: ["GPU memory is never over-committed"],
    firstSeed: 28,
  }),
  "takes an answer that broke off for complete": () => ({
    mutation: (platform) =>
      withHandlers(platform, (handler) => ({
        onResponseError(controller, error) {
          if (controller !== null && "code" in error && error.code === "UND_ERR_SOCKET" && hasBegun.has(handler)) {
            handler.onResponseEnd?.(controller, {});
          } else handler.onResponseError?.(controller, error);
        },
      })),
    noticedBy: ["nothing looks complete that is not", "the journal agrees with what clients saw"],
    firstSeed: 28,
  }),
  "loses a piece of an answer": () => {
    let pieces = 0;
    return {
      mutation: (platform) =>
        withHandlers(platform, (handler) => ({
          onResponseData(controller, chunk) {
            pieces += 1;
            if (pieces % 40 !== 0) handler.onResponseData?.(controller, chunk);
          },
        })),
      noticedBy: [
        "nothing looks complete that is not",
        "every end is a proper one",
        "llmux itself is sound",
        "no client hangs",
      ],
    };
  },
  "does not tell the engine that the client has gone": () => ({
    mutation: (platform) =>
      withHandlers(platform, (handler) => ({
        onRequestStart(controller, context: unknown) {
          const deaf = Object.create(controller) as Dispatcher.DispatchController;
          deaf.abort = () => {};
          deaf.pause = () => controller.pause();
          deaf.resume = () => controller.resume();
          handler.onRequestStart?.(deaf, context);
        },
      })),
    noticedBy: [
      "put away only when nothing runs",
      "the end leaves nothing",
      "sent again only while nothing was passed on",
    ],
  }),
  "sends requests twice": () => {
    let count = 0;
    return {
      mutation: (platform) =>
        withDispatch(platform, (options, handler, go) => {
          count += 1;
          if (count % 10 === 0) go(options, {});
          return go(options, handler);
        }),
      noticedBy: ["sent again only while nothing was passed on", "put away only when nothing runs"],
    };
  },
  "changes what it passes on": () => {
    let count = 0;
    return {
      mutation: (platform) =>
        withDispatch(platform, (options, handler, go) => {
          count += 1;
          const { body } = options;
          return go(
            count % 10 === 0 && Buffer.isBuffer(body)
              ? { ...options, body: Buffer.concat([body, Buffer.from(" ")]) }
              : options,
            handler,
          );
        }),
      noticedBy: ["a body arrives as it was sent"],
    };
  },
  "keeps its connections to engines that are gone": () => ({
    mutation: (platform) => ({
      ...platform,
      createEnginePool: (origin) =>
        Object.assign(platform.createEnginePool(origin), { destroy: () => Promise.resolve() }),
    }),
    noticedBy: ["the end leaves nothing", "no client hangs", "every end is a proper one"],
  }),
  "keeps the state folder": () => ({
    mutation: (platform) => ({
      ...platform,
      lockStateDir: (stateDir) => {
        platform.lockStateDir(stateDir);
        return { release() {} };
      },
    }),
    noticedBy: ["the end leaves nothing"],
  }),
};

type After = Platform["clock"]["after"];

function withClock({ clock }: Platform, after: After): Platform["clock"] {
  return { nowMs: () => clock.nowMs(), epochMs: () => clock.epochMs(), after };
}

type Go = (call: Parameters<Call>[0]) => Promise<HttpAnswer>;
type Call = ReturnType<Platform["createHttpClient"]>["call"];

function withCalls(platform: Platform, change: (call: Parameters<Call>[0], go: Go) => Promise<HttpAnswer>): Platform {
  return {
    ...platform,
    createHttpClient: () => {
      const client = platform.createHttpClient();
      return { ...client, call: (call) => change(call, (changed) => client.call(changed)) };
    },
  };
}

function withProcesses(platform: Platform, change: (host: ProcessHost) => Partial<ProcessHost>): Platform {
  return { ...platform, processes: { ...platform.processes, ...change(platform.processes) } };
}

type Dispatch = (options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler) => boolean;

function withDispatch(
  platform: Platform,
  change: (options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler, go: Dispatch) => boolean,
): Platform {
  return {
    ...platform,
    createEnginePool: (origin) => {
      const pool = platform.createEnginePool(origin);
      const go: Dispatch = pool.dispatch.bind(pool);
      return Object.assign(pool, {
        dispatch: (options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler) =>
          change(options, handler, go),
      });
    },
  };
}

/** Handlers whose answer has begun. */
const hasBegun = new WeakSet<Dispatcher.DispatchHandler>();

function withHandlers(
  platform: Platform,
  change: (handler: Dispatcher.DispatchHandler) => Partial<Dispatcher.DispatchHandler>,
): Platform {
  return withDispatch(platform, (options, handler, go) =>
    go(options, {
      onRequestStart: (controller, context: unknown) => handler.onRequestStart?.(controller, context),
      onResponseStart: (...args) => handler.onResponseStart?.(...args),
      onResponseData: (controller, chunk) => {
        hasBegun.add(handler);
        handler.onResponseData?.(controller, chunk);
      },
      onResponseEnd: (...args) => handler.onResponseEnd?.(...args),
      onResponseError: (...args) => handler.onResponseError?.(...args),
      ...change(handler),
    }),
  );
}
