/** `llmux key new`: makes an API key. */
import { createKey, hashOfKey } from "../base/api-key.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { print, type Shell } from "./shell.ts";

/** Prints the key, which is kept nowhere, and what is to be written down of it. */
export async function newKey(name: string, shell: Shell): Promise<ExitCode> {
  const key = createKey();
  const hash = hashOfKey(key);
  await print(
    shell,
    `${key}

This is shown once and kept nowhere. What llmux has to know of it is its hash; in the configuration, for a client:

api_keys:
  - name: ${JSON.stringify(name)}
    hash: ${hash}

or for operators:

admin_key: ${hash}
`,
  );
  return EXIT.fine;
}
