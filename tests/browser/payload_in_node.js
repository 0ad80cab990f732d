// One client in Node against a running proxy: `node payload_in_node.js URL MODULE LIBRARIES VERSION`, with keys as JSON on standard input.
// Writes what came of each step as JSON.
const [url, moduleFile, librariesFile, version] = process.argv.slice(2);
let input = "";
for await (const chunk of process.stdin) input += chunk;
const { exported, pinned } = JSON.parse(input);
const { PayloadClient } = await import(moduleFile);
const libraries = await import(librariesFile);
const origin = new URL(url).origin;
const told = {};

// Node's fetch speaks HTTP/1.1 only; its HTTP/2 is another module.
const http2Session = version === "h2" ? (await import("node:http2")).connect(origin) : null;
const fetchOverHttp2 = async (resource, init) => {
  const request = new Request(resource, { ...init, duplex: "half" });
  const { pathname, search } = new URL(request.url);
  const body = Buffer.from(await request.arrayBuffer());
  return new Promise((yes, no) => {
    const fields = { ...Object.fromEntries(request.headers), ":method": request.method, ":path": pathname + search };
    const stream = http2Session.request(fields, { endStream: body.length === 0 });
    const pieces = [];
    let head = null;
    stream.on("response", (found) => { head = found; });
    stream.on("data", (piece) => pieces.push(piece));
    stream.on("error", no);
    stream.on("end", () => {
      const headers = Object.entries(head).filter(([name]) => !name.startsWith(":"));
      yes(new Response(request.method === "HEAD" ? null : Buffer.concat(pieces), { status: head[":status"], headers }));
    });
    if (body.length > 0) stream.end(body);
  });
};
if (http2Session !== null) globalThis.fetch = fetchOverHttp2;

const step = async (name, work) => {
  try {
    told[name] = await work();
  } catch (error) {
    told[name] = `${error.constructor.name}: ${error.cause ?? error.message}`;
  }
};
const post = (client, path, body) => client.fetch(origin + path, { method: "POST", body });

for (const [name, ring] of Object.entries(exported)) {
  const client = await PayloadClient.ofRing(ring);
  await step(`${name} small`, async () => (await (await post(client, `/${name}?room=1`, "hello")).json()).count);
  await step(`${name} large`, async () => (await (await post(client, `/${name}`, new Uint8Array(300_000))).json()).count);
  await step(`${name} blob`, async () => (await (await post(client, `/${name}`, new Blob([new Uint8Array(200_000)]))).json()).count);
  await step(`${name} answer`, async () => (await (await client.fetch(`${origin}/${name}?size=300000`)).arrayBuffer()).byteLength);
  await step(`${name} head`, async () => (await client.fetch(`${origin}/${name}`, { method: "HEAD" })).status);
}
const stranger = await PayloadClient.ofRing({ ...exported.chat, keys: [{ version: 1, key: btoa("x".repeat(32)) }] });
await step("stranger", () => post(stranger, "/chat", "hello"));

const session = await PayloadClient.session(origin, pinned, libraries);
await step("session", async () => (await (await post(session, "/session?x=1", "hello")).json()).count);
await step("session again", async () => (await (await session.fetch(`${origin}/session?size=70000`)).arrayBuffer()).byteLength);
const { KEM_MLKEM768_X25519: _, ...others } = libraries; // so the other suite has to do
const other = await PayloadClient.session(origin, pinned, others);
await step("other session", async () => (await (await post(other, "/session?x=1", "hello")).json()).count);
const forged = { ...pinned, "ml-dsa-65": pinned["ml-dsa-65"].replace(/^.{8}/, "AAAAAAAA") };
await step("forged", () => PayloadClient.session(origin, forged, libraries));
process.stdout.write(JSON.stringify(told));
http2Session?.close();
