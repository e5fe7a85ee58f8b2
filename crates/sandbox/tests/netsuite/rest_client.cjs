// npm netsuite-rest, nsrestlet and oauth-1.0a against the simulated account.
const assert = require("node:assert");
const crypto = require("node:crypto");
const NetsuiteRest = require("netsuite-rest");
const nsrestlet = require("nsrestlet");
const OAuth = require("oauth-1.0a");

const credentials = JSON.parse(process.argv[2]);
const url = credentials.url;

async function rest() {
  const client = new NetsuiteRest({
    consumer_key: credentials.consumer_key,
    consumer_secret_key: credentials.consumer_secret,
    token: credentials.token,
    token_secret: credentials.token_secret,
    realm: credentials.account,
    base_url: url,
  });
  const read = await client.request({ path: "record/v1/customer/eid:C-0002" });
  assert.equal(read.data.externalId, "C-0002");
  const body = JSON.stringify({ companyName: "Node & Co", subsidiary: { id: "1" } });
  const made = await client.request({ path: "record/v1/customer", method: "POST", body });
  assert.equal(made.statusCode, 204);
  // The client's copy of an answer keeps the headers only as they came.
  const location = made.rawHeaders[made.rawHeaders.findIndex((name) => name.toLowerCase() === "location") + 1];
  assert.match(location, /\/customer\/\d+$/);
  const q = JSON.stringify({ q: "SELECT id FROM transaction ORDER BY id" });
  const page = await client.request({ path: "query/v1/suiteql?limit=2&offset=2", method: "POST", body: q });
  assert.equal(page.data.items.length, 2);
  await assert.rejects(client.request({ path: "record/v1/customer/999999" }), (error) => error.response.statusCode === 404);
}

async function restlet() {
  const account = {
    accountId: credentials.account,
    tokenKey: credentials.token,
    tokenSecret: credentials.token_secret,
    consumerKey: credentials.consumer_key,
    consumerSecret: credentials.consumer_secret,
  };
  const link = nsrestlet.createLink(account, { url: `${url}/app/site/hosting/restlet.nl?script=1&deploy=1` });
  const got = await link.get({ a: "1 & 2", b: "é" });
  assert.deepEqual((typeof got === "string" ? JSON.parse(got) : got).received, { a: "1 & 2", b: "é" });
  for (const method of ["post", "put"]) {
    const answer = await link[method]({ deep: { list: [1] } });
    assert.deepEqual(answer.received, { deep: { list: [1] } });
  }
  const gone = await link.delete({ id: 5 });
  assert.equal((typeof gone === "string" ? JSON.parse(gone) : gone).method, "DELETE");
  const missing = nsrestlet.createLink(account, { url: `${url}/app/site/hosting/restlet.nl?script=77&deploy=1` });
  await assert.rejects(missing.get({}));
}

async function signed() {
  const oauth = OAuth({
    consumer: { key: credentials.consumer_key, secret: credentials.consumer_secret },
    realm: credentials.account,
    signature_method: "HMAC-SHA256",
    hash_function: (base, key) => crypto.createHmac("sha256", key).update(base).digest("base64"),
  });
  const target = `${url}/services/rest/record/v1/customer?limit=5&q=${encodeURIComponent('email CONTAIN "+"')}`;
  const authorize = () => oauth.toHeader(oauth.authorize({ url: target, method: "GET" }, { key: credentials.token, secret: credentials.token_secret }));
  const header = authorize();
  assert.equal((await fetch(target, { headers: header })).status, 200);
  const replayed = await fetch(target, { headers: header });
  assert.equal(replayed.status, 401, "a nonce is good once");
  assert.equal((await replayed.json())["o:errorDetails"][0]["o:errorCode"], "INVALID_LOGIN");
  assert.equal((await fetch(target, { headers: authorize() })).status, 200);
}

rest()
  .then(restlet)
  .then(signed)
  .then(() => console.log("ok"));
