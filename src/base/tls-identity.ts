/** What a listener that speaks TLS shows of itself, and how old a client it speaks to. */

/** A certificate and its key, in PEM, which fit together. */
export interface TlsIdentity {
  /** The certificate, followed by those that lead up to the root. */
  readonly cert: string;
  readonly key: string;
}

/** 1.0 and 1.1 are broken. */
export const TLS_VERSION_MIN = "TLSv1.2";
