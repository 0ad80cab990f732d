/** What `plexigate payload export RING` writes. Secret. */
export interface ExportedRing {
  ring: string;
  bind: boolean;
  envelope: "none" | "plexichat";
  max_age_seconds: number;
  /** The key to encrypt with first. */
  keys: { version: number; state: string; key: string }[];
}

/** What `plexigate payload identity` writes. Not secret; deliver it unaltered. */
export interface PinnedIdentity {
  "ecdsa-p256-sha256": string;
  "ml-dsa-65": string;
}

/** The exports of payload-libraries.js, or of other builds of the same libraries. */
export type Libraries = Readonly<Record<string, unknown>>;

/** UNIX seconds. */
export type Clock = () => number;

/** A message is not what it should be: of another key, place or time, cut, or repeated. */
export class PayloadFault extends Error {}

/**
 * An answer that is not encrypted: of the proxy itself, or of an attacker in its place. Nothing
 * vouches for what it says.
 */
export class AnswerNotSealed extends Error {
  readonly status: number;
  /** The `type` of its problem document (RFC 9457). */
  readonly cause?: string;
  readonly response: Response;
}

/** As for the global `fetch`. A Blob, and more than 256 KiB, is sent as a stream of tokens. */
export interface SealedRequestInit extends Omit<RequestInit, "body"> {
  body?: string | Blob | ArrayBuffer | ArrayBufferView<ArrayBuffer> | null;
}

export class PayloadClient {
  /** A client with the keys of a ring. */
  static ofRing(exported: ExportedRing, clock?: Clock): Promise<PayloadClient>;

  /**
   * A client that agrees on keys with the proxy at `origin`.
   *
   * Rejects with `PayloadFault` if the pinned identity has not signed the keys of the proxy, or if
   * no suite fits; with `AnswerNotSealed` if the proxy refuses.
   */
  static session(
    origin: string | URL,
    pinned: PinnedIdentity,
    libraries: Libraries,
    options?: { fetch?: typeof globalThis.fetch; clock?: Clock },
  ): Promise<PayloadClient>;

  /**
   * Like the global `fetch`, with body and answer encrypted. Method, URL and headers are in the
   * clear. Rejects with `AnswerNotSealed` or `PayloadFault`; an answer that is a stream can fail
   * while it is read.
   */
  fetch(resource: string | URL, init?: SealedRequestInit): Promise<Response>;

  /** A WebSocket whose messages are encrypted. */
  websocket(resource: string | URL, protocols?: string[]): Promise<SealedSocket>;
}

export class SealedSocket {
  /** The socket that carries the tokens: for `close`, and for the events `open`, `close`, `error`. */
  readonly socket: WebSocket;
  onmessage: ((event: { data: string | Uint8Array }) => void) | null;
  /** Resolves when the message was handed to the socket. Messages keep their order. */
  send(message: string | ArrayBuffer | ArrayBufferView<ArrayBuffer>): Promise<void>;
}
