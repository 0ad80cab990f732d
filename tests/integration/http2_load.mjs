// Browser-like load over HTTP/2: `node http2_load.mjs URL SESSIONS STREAMS`, until a line comes on standard input.
// Asks again what was refused (REFUSED_STREAM, or a stream that GOAWAY says was not taken up); writes what came of it as JSON.
import http2 from "node:http2";

const [url, sessions, streams] = process.argv.slice(2);
const told = { requests: 0, again: 0, unsent: 0, goaways: 0, sessions: 0, failures: [] };
let goes = true;
process.stdin.once("data", () => { goes = false; });

class Visitor {
  #session = null;
  #asked = 0;

  // A session that may still be used; a new one after GOAWAY, and now and then, so that every worker has some.
  #current() {
    if (++this.#asked % 50 === 0 && this.#session !== null) {
      const old = this.#session; // what was asked in this turn of the loop is not sent yet
      this.#session = null;
      setTimeout(() => old.close(), 10);
    }
    if (this.#session === null || this.#session.closed || this.#session.destroyed) {
      const session = http2.connect(url);
      told.sessions += 1;
      session.on("goaway", () => { told.goaways += 1; if (this.#session === session) this.#session = null; });
      session.on("error", (error) => told.failures.push(`session: ${error.code} ${error.message}`));
      session.setTimeout(0);
      this.#session = session;
    }
    return this.#session;
  }

  // One request: true if it was answered, false if the server says that it may be sent again.
  #once(path) {
    return new Promise((yes, no) => {
      const session = this.#current();
      const stream = session.request({ ":path": path });
      let status = 0, text = "";
      stream.on("response", (fields) => { status = fields[":status"]; });
      stream.on("data", (data) => { text += data; });
      stream.on("error", () => {});
      stream.on("close", () => {
        if (stream.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM) {
          told.again += 1;
          yes(false);
        } else if (stream.rstCode === http2.constants.NGHTTP2_INTERNAL_ERROR && status === 0 && this.#session !== session) {
          told.unsent += 1; // nghttp2 says so of a request that it still held when GOAWAY came
          yes(false);
        }
        else if (stream.rstCode !== 0 || status !== 200 || !text.startsWith(`${path} `)) no(Error(`${path}: ${stream.rstCode} ${status} ${text.slice(0, 40)}`));
        else yes(true);
      });
      stream.end();
    });
  }

  async ask(path) {
    try {
      while (!await this.#once(path));
      told.requests += 1;
    } catch (error) {
      told.failures.push(String(error.message));
    }
  }

  close() { this.#session?.close(); }
}

const visit = async (visitor, number) => {
  for (let turn = 0; goes && told.failures.length < 10; turn++) await visitor.ask(`/load/${number}/${turn}`);
};
const visitors = [...Array(Number(sessions)).keys()].map(() => new Visitor());
const work = visitors.flatMap((visitor, one) => [...Array(Number(streams)).keys()].map((other) => visit(visitor, `${one}/${other}`)));
await Promise.all(work);
for (const visitor of visitors) visitor.close();
process.stdout.write(JSON.stringify(told));
process.exit(0);
