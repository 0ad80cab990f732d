// Payload encryption of Plexigate for browsers, Node, Deno and Bun: bodies in, tokens out. Needs
// only WebCrypto. Sessions also need two libraries, which are handed in (payload-libraries.js is a
// bundle of them).
//
//   // `exported` comes from "plexigate payload export RING"
//   const client = await PayloadClient.ofRing(JSON.parse(exported));
//   // or, with `pinned` from "plexigate payload identity"
//   const client = await PayloadClient.session(location.origin, pinned, libraries);
//
//   const answer = await client.fetch("/letters", { method: "POST", body: "hello" });
//   const text = await answer.text();
//
// A Blob, and everything above 256 KiB, is sent as a stream of tokens that are made piece by piece.
// An answer of the proxy itself is not encrypted: then AnswerNotSealed is thrown, and what the
// answer says proves nothing.

const HEAD_BYTES = 58; // version, flags, message id (16), number (8), digest (32)
const PIECE_BYTES = 65_536 - HEAD_BYTES;
const SINGLE_BYTES = 262_144;
const LONGEST_TOKEN = 87_504;
const SKEW_SECONDS = 30;
const utf8 = new TextEncoder();
const subtle = globalThis.crypto.subtle;

export class PayloadFault extends Error {}

export class AnswerNotSealed extends Error {
  constructor(response, problem) {
    super(`the answer (${response.status}) is not encrypted; it says ${problem?.type ?? "nothing of a cause"}`);
    this.status = response.status;
    this.cause = problem?.type;
    this.response = response;
  }
}

// --- octets

const concat = (...parts) => {
  const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return all;
};
const integer = (value, size) => {
  const octets = new Uint8Array(size);
  for (let at = size - 1, rest = BigInt(value); at >= 0; at--, rest >>= 8n) octets[at] = Number(rest & 255n);
  return octets;
};
const number = (octets) => octets.reduce((value, octet) => value * 256 + octet, 0);
const equal = (one, other) =>
  one.length === other.length && one.reduce((difference, octet, at) => difference | (octet ^ other[at]), 0) === 0;
const hex = (octets) => Array.from(octets, (octet) => octet.toString(16).padStart(2, "0")).join("");
const random = (size) => globalThis.crypto.getRandomValues(new Uint8Array(size));

const toBase64 = (octets) => {
  let binary = "";
  for (let at = 0; at < octets.length; at += 32_768) binary += String.fromCharCode(...octets.subarray(at, at + 32_768));
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_");
};
const fromBase64 = (text) => {
  if (!/^[\w-]*={0,2}$/.test(text)) throw new PayloadFault("no base64url");
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
};
const unpadded = (text) => text.replaceAll("=", "");

// --- Fernet (github.com/fernet/spec)

class Fernet {
  static async of(secret) {
    const fernet = new Fernet();
    fernet.mac = await subtle.importKey("raw", secret.slice(0, 16), { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
    fernet.aes = await subtle.importKey("raw", secret.slice(16), "AES-CBC", false, ["encrypt", "decrypt"]);
    return fernet;
  }

  async seal(plain, seconds) {
    const iv = random(16);
    const ciphertext = new Uint8Array(await subtle.encrypt({ name: "AES-CBC", iv }, this.aes, plain));
    const signed = concat(Uint8Array.of(0x80), integer(seconds, 8), iv, ciphertext);
    return toBase64(concat(signed, new Uint8Array(await subtle.sign("HMAC", this.mac, signed))));
  }

  // The content and time of a token; null if it is not of this key.
  async open(token) {
    const data = fromBase64(token);
    if (toBase64(data) !== token || data.length < 73 || data[0] !== 0x80) throw new PayloadFault("no token");
    const signed = data.subarray(0, -32);
    if (!(await subtle.verify("HMAC", this.mac, data.subarray(-32), signed))) return null;
    try {
      const plain = await subtle.decrypt({ name: "AES-CBC", iv: data.subarray(9, 25) }, this.aes, signed.subarray(25));
      return { plain: new Uint8Array(plain), time: number(data.subarray(1, 9)) };
    } catch {
      throw new PayloadFault("no token");
    }
  }
}

// --- channels

const digestOf = async (place, direction, answers) => {
  const parts = [utf8.encode("plexigate payload binding 1"), utf8.encode(direction), ...place, answers];
  const framed = concat(...parts.flatMap((part) => [integer(part.length, 8), part]));
  return new Uint8Array(await subtle.digest("SHA-256", framed));
};

class Channel {
  // `requests` and `responses`: pairs of version and Fernet, the one to seal with first.
  constructor(settings) {
    Object.assign(this, { isBound: true, envelope: "none", maxAge: 60, isSession: false }, settings);
  }

  place(method, url) {
    const host = url.hostname.toLowerCase().replace(/^\[|\]$|\.$/g, "");
    return [method, host, url.pathname + url.search, this.key].map((part) => utf8.encode(part));
  }

  get headers() {
    return this.isSession ? { "Payload-Session": this.key } : { "Payload-Key": `${this.key}:${this.requests[0][0]}` };
  }

  seal(content) {
    return this.requests[0][1].seal(content, this.clock());
  }

  async open(token, isTimed = true) {
    for (const [, fernet] of this.responses) {
      const opened = await fernet.open(token);
      if (opened !== null) {
        const age = this.clock() - opened.time;
        if (isTimed && (age > this.maxAge + 1 || age < -SKEW_SECONDS)) throw new PayloadFault("a token of another time");
        return opened.plain;
      }
    }
    throw new PayloadFault("no token of a known key");
  }
}

// The heads of the tokens of one message that we make.
class Framing {
  constructor(id, digest) {
    Object.assign(this, { id, digest, next: 0 });
  }

  frame(piece, isLast) {
    return concat(Uint8Array.of(1, isLast ? 1 : 0), this.id, integer(this.next++, 8), this.digest, piece);
  }
}

// The heads of the tokens of one message that we get.
class Unframing {
  constructor(digest) {
    Object.assign(this, { digest, next: 0, id: null, isFinished: false });
  }

  piece(content) {
    if (content.length < HEAD_BYTES || content[0] !== 1 || content[1] > 1 || this.isFinished) throw new PayloadFault("a broken stream");
    if (!equal(content.subarray(26, 58), this.digest)) throw new PayloadFault("a token of another place");
    this.id ??= content.slice(2, 18);
    if (!equal(content.subarray(2, 18), this.id) || number(content.subarray(18, 26)) !== this.next) throw new PayloadFault("a broken stream");
    this.next++;
    this.isFinished = content[1] === 1;
    return content.subarray(HEAD_BYTES);
  }
}

// --- the client

export class PayloadClient {
  constructor(channel) {
    this.channel = channel;
  }

  static async ofRing(exported, clock = unixTime) {
    const keys = await Promise.all(exported.keys.map(async (key) => [key.version, await Fernet.of(fromBase64(key.key))]));
    return new PayloadClient(
      new Channel({
        key: exported.ring,
        requests: keys,
        responses: keys,
        isBound: exported.bind,
        envelope: exported.envelope,
        maxAge: exported.max_age_seconds,
        clock,
      }),
    );
  }

  // Agree on keys with a proxy. `pinned` is its identity, `libraries` the exports of
  // payload-libraries.js.
  static async session(origin, pinned, libraries, { fetch = globalThis.fetch, clock = unixTime } = {}) {
    const document = await (await fetch(new URL("/.well-known/payload-keys", origin))).json();
    const keys = await verified(document, pinned, libraries, clock());
    const chosen = keys.find((key) => suiteOf(key.suite, libraries) !== null);
    if (chosen === undefined) {
      throw new PayloadFault(`none of its suites is in payload-libraries.js: ${keys.map((key) => key.suite).join(", ")}`);
    }
    const suite = suiteOf(chosen.suite, libraries);
    const secret = random(32);
    const agreed = `${chosen.suite}:${chosen.id}`;
    const info = utf8.encode(`plexigate payload session 1\0${agreed}`);
    const key = await suite.DeserializePublicKey(fromBase64(chosen.public));
    const { encapsulatedSecret, ciphertext } = await suite.Seal(key, secret, { info });
    const message = unpadded(toBase64(concat(encapsulatedSecret, ciphertext)));
    const body = JSON.stringify({ suite: chosen.suite, key: chosen.id, message });
    const answer = await fetch(new URL("/.well-known/payload-sessions", origin), { method: "POST", body });
    if (!answer.ok) throw new AnswerNotSealed(answer, await answer.json().catch(() => null));
    const { ticket } = await answer.json();
    const [requests, responses] = await Promise.all(
      ["request", "response"].map(async (direction) => [[1, await Fernet.of(await sessionKey(secret, direction, agreed, ticket))]]),
    );
    return new PayloadClient(new Channel({ key: ticket, requests, responses, isSession: true, clock }));
  }

  // Like the global fetch, with the body and the answer encrypted. Other headers, the method and
  // the URL are in the clear.
  async fetch(resource, { body, headers, method = "GET", ...rest } = {}) {
    const url = new URL(resource, globalThis.location?.href);
    const place = this.channel.place(method.toUpperCase(), url);
    const id = random(16);
    const framing = new Framing(id, await digestOf(place, "request", new Uint8Array()));
    const sent = new Headers(headers);
    for (const [name, value] of Object.entries(this.channel.headers)) sent.set(name, value);
    sent.set("Payload-Nonce", hex(id));
    sent.set("Payload-Accept", "fernet-stream");
    let sealed;
    if (body != null) {
      const blob = body instanceof Blob ? body : new Blob([body]);
      const isSingle = !(body instanceof Blob) && blob.size <= SINGLE_BYTES;
      sealed = isSingle ? await this.#token(blob, framing) : await this.#tokens(blob, framing);
      sent.set("Content-Encoding", isSingle ? "fernet" : "fernet-stream");
      if (!sent.has("Content-Type")) sent.set("Content-Type", blob.type || "application/octet-stream");
    }
    const response = await globalThis.fetch(url, { ...rest, method, headers: sent, body: sealed });
    if (method.toUpperCase() === "HEAD" || [204, 205, 304].includes(response.status)) return response;
    return this.#opened(response, await digestOf(place, "response", id));
  }

  async #token(blob, framing) {
    let plain = new Uint8Array(await blob.arrayBuffer());
    if (this.channel.envelope === "plexichat") plain = concat(integer(this.channel.clock(), 8), plain);
    return this.channel.seal(this.channel.isBound ? framing.frame(plain, true) : plain);
  }

  // A Blob of tokens: browsers cannot stream a request body over HTTP/1.1, but they can keep a Blob
  // outside of memory.
  async #tokens(blob, framing) {
    const tokens = [];
    for (let at = 0; at === 0 || at < blob.size; at += PIECE_BYTES) {
      const piece = new Uint8Array(await blob.slice(at, at + PIECE_BYTES).arrayBuffer());
      const token = await this.channel.seal(framing.frame(piece, at + PIECE_BYTES >= blob.size));
      tokens.push(new Blob([token, "\n"]));
    }
    return new Blob(tokens);
  }

  async #opened(response, digest) {
    const { status, statusText, headers } = response;
    switch (headers.get("Content-Encoding")) {
      case "fernet":
        return new Response(await this.#message(await response.text(), digest), { status, statusText, headers });
      case "fernet-stream": {
        const opening = new TransformStream(this.#opening(digest));
        return new Response(response.body.pipeThrough(opening), { status, statusText, headers });
      }
      default: {
        const problem = await response.clone().json().catch(() => null);
        throw new AnswerNotSealed(response, problem);
      }
    }
  }

  async #message(token, digest) {
    let plain = await this.channel.open(token.trimEnd());
    if (this.channel.isBound) {
      const unframing = new Unframing(digest);
      plain = unframing.piece(plain);
      if (!unframing.isFinished) throw new PayloadFault("a part of a message");
    }
    return this.channel.envelope === "plexichat" ? plain.subarray(8) : plain;
  }

  #opening(digest) {
    const unframing = new Unframing(digest);
    const decoder = new TextDecoder();
    let rest = "";
    return {
      transform: async (chunk, controller) => {
        const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
        rest = lines.pop();
        if (rest.length > LONGEST_TOKEN) throw new PayloadFault("no token");
        for (const line of lines) {
          const piece = unframing.piece(await this.channel.open(line, unframing.next === 0));
          if (piece.length > 0) controller.enqueue(piece);
        }
      },
      flush: () => {
        if (rest !== "" || !unframing.isFinished) throw new PayloadFault("a message that was cut");
      },
    };
  }

  // A WebSocket whose messages are encrypted. `onmessage` gets { data } with a string or a
  // Uint8Array; `send` takes either.
  async websocket(resource, protocols = []) {
    const url = new URL(resource, globalThis.location?.href);
    const channel = this.channel;
    const named = channel.isSession ? `payload-session.${channel.key}` : `payload-key.${channel.key}~${channel.requests[0][0]}`;
    url.protocol = url.protocol.replace("http", "ws");
    const place = channel.place("GET", url);
    const framing = new Framing(random(16), await digestOf(place, "request", new Uint8Array()));
    const unframing = new Unframing(await digestOf(place, "response", new Uint8Array()));
    return new SealedSocket(new WebSocket(url, [...protocols, named]), channel, framing, unframing);
  }
}

export class SealedSocket {
  #sending = Promise.resolve();
  #receiving = Promise.resolve();

  constructor(socket, channel, framing, unframing) {
    this.socket = socket;
    this.onmessage = null;
    socket.binaryType = "arraybuffer";
    this.send = (message) => {
      const plain = typeof message === "string" ? utf8.encode(message) : new Uint8Array(message);
      const content = channel.isBound ? framing.frame(plain, false) : plain;
      this.#sending = this.#sending.then(async () => {
        const token = await channel.seal(content);
        socket.send(typeof message === "string" ? token : utf8.encode(token));
      });
      return this.#sending;
    };
    socket.addEventListener("message", ({ data }) => {
      this.#receiving = this.#receiving.then(() => this.#received(data, channel, unframing)).catch(() => socket.close(4_000, "not readable"));
    });
  }

  async #received(data, channel, unframing) {
    const isText = typeof data === "string";
    let plain = await channel.open(isText ? data : new TextDecoder().decode(data));
    if (channel.isBound) plain = unframing.piece(plain);
    this.onmessage?.({ data: isText ? new TextDecoder().decode(plain) : plain });
  }
}

// --- sessions

const unixTime = () => Math.floor(Date.now() / 1_000);

// The suite of a name; null where the libraries lack it.
const suiteOf = (name, { CipherSuite, ...libraries }) => {
  const known = {
    "MLKEM768-X25519": [libraries.KEM_MLKEM768_X25519, libraries.KDF_HKDF_SHA256],
    "MLKEM1024-P384": [libraries.KEM_MLKEM1024_P384, libraries.KDF_HKDF_SHA384],
  };
  const [kem, kdf] = known[name] ?? [];
  return kem === undefined ? null : new CipherSuite(kem, kdf, libraries.AEAD_AES_256_GCM);
};

const sessionKey = async (secret, direction, agreed, ticket) => {
  const parts = [direction, agreed, ticket].map((part) => utf8.encode(part));
  const info = concat(utf8.encode("plexigate payload keys 1"), ...parts.flatMap((part) => [integer(part.length, 4), part]));
  const key = await subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
  // RFC 5869 2.2: no salt is a salt of zeros
  return new Uint8Array(await subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt: new Uint8Array(32), info }, key, 256));
};

// The keys of a document that both halves of the pinned identity have signed.
const verified = async ({ document, signatures }, pinned, libraries, now) => {
  const octets = fromBase64(document);
  const message = concat(utf8.encode("plexigate payload keys 1\0"), octets);
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const key = await subtle.importKey("raw", fromBase64(pinned["ecdsa-p256-sha256"]), algorithm, false, ["verify"]);
  const isSigned =
    (await subtle.verify(algorithm, key, rawSignature(fromBase64(signatures["ecdsa-p256-sha256"])), message)) &&
    libraries.ml_dsa65.verify(fromBase64(signatures["ml-dsa-65"]), message, fromBase64(pinned["ml-dsa-65"]));
  const { issued, expires, keys } = JSON.parse(new TextDecoder().decode(octets));
  if (!isSigned) throw new PayloadFault("keys that the pinned identity has not signed");
  if (now < issued - 300 || now >= expires) throw new PayloadFault("keys of another time");
  return keys;
};

// WebCrypto has r and s side by side where everybody else has them in DER.
const rawSignature = (der) => {
  const integers = [];
  for (let at = 2; at < der.length; at += 2 + der[at + 1]) integers.push(der.subarray(at + 2, at + 2 + der[at + 1]));
  return concat(...integers.map((octets) => concat(new Uint8Array(32), octets).slice(-32)));
};
