// Two independent OAuth servers, each with an API that takes their tokens, and a few levers for the tests.
//   node oauth.mjs provider REDIRECT   panva's oidc-provider: PKCE required, refresh tokens good once
//   node oauth.mjs mock                axa's oauth2-mock-server: whatever the test wants of an answer
// Prints its address. Below /levers: counts, expire, revoke, hold, release, browse?url=…
import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [kind, redirect] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(join(process.env.NODE_PATH, file)));
const counts = { code: 0, refresh: 0, client: 0, api: 0 };
const answer = (res, status, body) => {
  res.writeHead(status, { "content-type": "application/json" });
  res.end(JSON.stringify(body));
};

// What a person does in a browser: follows redirects with cookies until the address leads home.
async function browse(url) {
  const jar = new Map();
  for (let hop = 0; hop < 20; hop += 1) {
    if (url.startsWith(redirect)) return url;
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const got = await fetch(url, { redirect: "manual", headers: cookie ? { cookie } : {} });
    for (const line of got.headers.getSetCookie()) {
      const [name, value] = line.split(";")[0].split("=");
      if (value) jar.set(name, value);
      else jar.delete(name);
    }
    const next = got.headers.get("location");
    if (!next) throw new Error(`${got.status} at ${url}: ${(await got.text()).slice(0, 300)}`);
    url = new URL(next, url).href;
  }
  throw new Error("no way home");
}

async function provider(levers) {
  const { Provider } = await load("oidc-provider/lib/index.js");
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const oidc = new Provider(issuer, {
    clients: [
      {
        client_id: "liaison",
        client_secret: "a secret that is long enough",
        redirect_uris: [redirect],
        grant_types: ["authorization_code", "refresh_token"],
        response_types: ["code"],
      },
    ],
    cookies: { keys: ["one key of the tests"] },
    features: { devInteractions: { enabled: false } },
    pkce: { required: () => true },
    scopes: ["openid", "offline_access"],
    issueRefreshToken: async () => true,
    rotateRefreshToken: true,
    interactions: { url: (_, interaction) => `/agree/${interaction.uid}` },
    findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  });
  const grants = new Set();
  oidc.on("grant.success", (ctx) => {
    counts[ctx.oidc.params.grant_type === "refresh_token" ? "refresh" : "code"] += 1;
    grants.add(ctx.oidc.entities.Grant?.jti);
  });
  oidc.on("grant.error", () => (counts.refused = (counts.refused ?? 0) + 1));
  let refused = new Set();
  const seen = new Set();
  levers.expire = () => (refused = new Set(seen));
  levers.revoke = async () => {
    for (const id of grants) {
      await oidc.Grant.find(id).then((grant) => grant?.destroy());
      await oidc.RefreshToken.revokeByGrantId(id);
      await oidc.AccessToken.revokeByGrantId(id);
    }
    levers.expire();
  };
  const callback = oidc.callback();
  server.on("request", async (req, res) => {
    const { pathname } = new URL(req.url, issuer);
    if (await pulled(levers, req, res, issuer)) return;
    if (pathname.startsWith("/agree/")) {
      const { params } = await oidc.interactionDetails(req, res);
      const grant = new oidc.Grant({ accountId: "ann", clientId: params.client_id });
      grant.addOIDCScope("openid offline_access");
      const consent = { grantId: await grant.save() };
      await oidc.interactionFinished(req, res, { login: { accountId: "ann" }, consent }, { mergeWithLastSubmission: false });
    } else if (pathname.startsWith("/api")) {
      counts.api += 1;
      const token = (req.headers.authorization ?? "").replace(/^Bearer /, "");
      const known = !refused.has(token) && (await oidc.AccessToken.find(token));
      if (known) seen.add(token);
      answer(res, known ? 200 : 401, { who: known?.accountId ?? null });
    } else callback(req, res);
  });
  console.log(issuer);
}

async function mock(levers) {
  const { OAuth2Server } = await load("oauth2-mock-server/dist/index.mjs");
  const oauth = new OAuth2Server();
  await oauth.issuer.keys.generate("RS256");
  await oauth.start(0, "127.0.0.1");
  const good = new Set();
  let number = 0;
  let held = Promise.resolve();
  let release = () => {};
  oauth.service.on("beforeResponse", (response, req) => {
    const grant = req.body.grant_type;
    counts[grant === "refresh_token" ? "refresh" : "client"] += 1;
    // Each refresh token is good once, but for a moment's grace: the answer before may have been lost.
    number += 1;
    response.body = { access_token: `token-${number}`, token_type: "Bearer", expires_in: 3600, refresh_token: `refresh-${number}` };
    good.add(response.body.access_token);
  });
  levers.expire = () => good.clear();
  levers.hold = () => {
    held = new Promise((done) => (release = done));
  };
  levers.release = () => release();
  const server = createServer(async (req, res) => {
    if (await pulled(levers, req, res, "http://127.0.0.1")) return;
    if (req.url.startsWith("/token")) {
      counts.asked = (counts.asked ?? 0) + 1;
      const parts = [];
      for await (const part of req) parts.push(part);
      const headers = { "content-type": req.headers["content-type"] };
      const got = await fetch(`${oauth.issuer.url}/token`, { method: "POST", headers, body: Buffer.concat(parts) });
      const body = await got.text();
      // The answer is there, and may never reach whoever asked.
      await held;
      res.writeHead(got.status, { "content-type": "application/json" });
      res.end(body);
      return;
    }
    counts.api += 1;
    const token = (req.headers.authorization ?? "").replace(/^Bearer /, "");
    answer(res, good.has(token) ? 200 : 401, {});
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  console.log(`http://127.0.0.1:${server.address().port}`);
}

async function pulled(levers, req, res, base) {
  const url = new URL(req.url, base);
  if (!url.pathname.startsWith("/levers/")) return false;
  const name = url.pathname.slice("/levers/".length);
  try {
    if (name === "browse") answer(res, 200, { url: await browse(url.searchParams.get("url")) });
    else {
      await levers[name]?.();
      answer(res, 200, counts);
    }
  } catch (error) {
    answer(res, 500, { error: String(error) });
  }
  return true;
}

await (kind === "provider" ? provider({}) : mock({}));
