/** A worker that does not come to life. */
throw new Error("still-born");
