// Signs a body as Stripe's and Standard Webhooks' own Node libraries do. Reads and writes JSON.
const { readFileSync } = require("node:fs");

const wish = JSON.parse(readFileSync(0, "utf8"));
let headers;
if (wish.kind === "stripe") {
  const loaded = require("stripe");
  const Stripe = loaded.default ?? loaded;
  const stripe = new Stripe("sk_test_unused");
  const header = stripe.webhooks.generateTestHeaderString({ payload: wish.body, secret: wish.secret, timestamp: wish.at });
  headers = { "stripe-signature": header };
} else {
  const { Webhook } = require("standardwebhooks");
  headers = {
    "webhook-id": wish.id,
    "webhook-timestamp": String(wish.at),
    "webhook-signature": new Webhook(wish.secret).sign(wish.id, new Date(wish.at * 1000), wish.body),
  };
}
console.log(JSON.stringify(headers));
