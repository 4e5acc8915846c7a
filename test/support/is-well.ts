/** Whether a server is there. */

/** Whether a GET of this URL is answered with a 2xx; false too where nobody listens. */
export async function isWell(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}
