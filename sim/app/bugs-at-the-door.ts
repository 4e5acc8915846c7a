/** Deliberate bugs between llmux and its clients, and the rules that must notice them. */
import type { AppBug } from "./bugs-around-the-app.ts";
import type { PlatformMutation } from "./app-world.ts";
import type { Tampering } from "./connection.ts";
import { secretOf } from "./key-rules.ts";

/** By a sentence that says what llmux would be. Each is made anew for every run. */
export const BUGS_AT_THE_DOOR: Readonly<Record<string, () => AppBug>> = {
  "loses every second heartbeat": () => {
    let count = 0;
    return {
      mutation: tampering(() => ({
        toClient: (text) => text.replaceAll(BEATS, (beat) => ((count += 1) % 2 === 0 ? "" : beat)),
      })),
      noticedBy: ["heartbeats come in time"],
    };
  },
  "beats twice": () => ({
    mutation: tampering(() => ({ toClient: (text) => text.replaceAll(BEATS, "$&$&") })),
    noticedBy: ["heartbeats come in time"],
  }),
  "beats for the wrong model": () => ({
    mutation: tampering(() => ({ toClient: (text) => text.replaceAll(": llmux model=a", ": llmux model=b") })),
    noticedBy: ["heartbeats are for those who wait"],
  }),
  "greets with a heartbeat whom its engine answers": () => ({
    mutation: tampering(() => ({
      toClient: (text) => text.replace(ANSWERED_STREAM, (head) => head + BEAT),
    })),
    noticedBy: ["heartbeats are for those who wait"],
  }),
  "stops to beat when the engine has the request": () => ({
    mutation: tampering(() => ({
      toClient: (text) => text.replaceAll(BEATS, (beat) => (beat.includes('state="awake"') ? "" : beat)),
    })),
    noticedBy: ["heartbeats come in time"],
  }),
  "beats in the midst of an answer": () => ({
    mutation: tampering(() => ({
      toClient: (text) => (text.includes('data: {"id"') && text.endsWith("\r\n") ? text + BEAT : text),
    })),
    noticedBy: ["nothing looks complete that is not"],
  }),
  "beats for those who want no stream": () => ({
    mutation: (platform, life) => {
      life.network.tamperWith = () => ({ toServer: (text) => text.replace('"stream":false', '"stream":true ') });
      return {
        ...platform,
        createEnginePool: (origin) => {
          const pool = platform.createEnginePool(origin);
          const dispatch = pool.dispatch.bind(pool);
          return Object.assign(pool, {
            dispatch: ((options, handler) => {
              const { body } = options;
              if (!Buffer.isBuffer(body)) return dispatch(options, handler);
              const asSent = body.toString().replace('"stream":true ', '"stream":false');
              return dispatch({ ...options, body: Buffer.from(asSent) }, handler);
            }) satisfies typeof dispatch,
          });
        },
      };
    },
    noticedBy: ["heartbeats are for those who wait"],
  }),
  "ends in order what fails behind heartbeats": () => ({
    mutation: tampering(() => {
      let hasBeats = false;
      let isCut = false;
      return {
        toClient(text) {
          hasBeats ||= text.includes(": llmux ");
          isCut = hasBeats && text.includes('data: {"error"');
          return text;
        },
        lastWords: () => (isCut ? "0\r\n\r\n" : ""),
      };
    }),
    noticedBy: ["nothing looks complete that is not", "every end is a proper one"],
  }),
  "cuts without a word what fails behind heartbeats": () => ({
    mutation: tampering(() => ({
      toClient: (text) => text.replace(/^[0-9a-f]+\r\n\n(?:event: error\n)?data: \{"[^\n]*\n\n\r\n/, ""),
    })),
    noticedBy: ["every end is a proper one"],
  }),
  "lets heartbeats pile up": () => ({
    mutation: tampering(() => ({
      toClient: (text, { isReading }) => (isReading ? text : text.replaceAll(BEATS, (beat) => beat.repeat(2_000))),
    })),
    noticedBy: ["unread heartbeats do not pile up"],
    firstSeed: 5,
  }),
  "lets everybody in": () => ({
    mutation: tampering(() => ({
      toServer: (text) =>
        text.includes(KEY_PREFIX) ? text : text.replace("\r\n\r\n", `\r\nx-api-key: ${secretOf("all")}\r\n\r\n`),
    })),
    noticedBy: ["a key opens what it is for, and no more"],
    firstSeed: 14,
  }),
  "does not look at what a key may": () => ({
    mutation: tampering(() => ({
      toServer: (text) => text.replace(/sk-llmux-key-\d/, secretOf("all")),
    })),
    noticedBy: ["a key opens what it is for, and no more"],
  }),
};

/** A heartbeat as a chunk of its own. */
const BEATS = /[0-9a-f]+\r\n: llmux [^\r]*\n\n\r\n/g;

/** The head of a stream that begins with what an engine says. */
const ANSWERED_STREAM = /^HTTP\/1\.1 200 [^]*event-stream[^]*?\r\n\r\n(?=[0-9a-f]+\r\n(?!: llmux ))/;

const BEAT_TEXT = ': llmux model=a state="awake" position=1\n\n';
const BEAT = `${BEAT_TEXT.length.toString(16)}\r\n${BEAT_TEXT}\r\n`;

const KEY_PREFIX = "sk-llmux-";

function tampering(tamperWith: () => Tampering): PlatformMutation {
  return (platform, life) => {
    life.network.tamperWith = tamperWith;
    return platform;
  };
}
