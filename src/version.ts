/** The version of llmux, from its package. */
import packageJson from "../package.json" with { type: "json" };

/** As in `1.2.3`. */
export const VERSION: string = packageJson.version;
