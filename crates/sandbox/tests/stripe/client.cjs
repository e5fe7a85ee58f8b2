// The vendor's Node client against the sandbox. Its one argument is JSON: url, control, credentials.
'use strict';
const assert = require('node:assert');
const http = require('node:http');
const { createRequire } = require('node:module');
const path = require('node:path');

const Stripe = createRequire(path.join(process.env.LIAISON_TEST_NODE_MODULES, 'x.js'))('stripe');
const { url, control, credentials } = JSON.parse(process.argv[2]);
const { hostname, port } = new URL(url);

const client = (key = 'secret_key', more = {}) =>
  new Stripe(credentials[key], { host: hostname, port, protocol: 'http', maxNetworkRetries: 3, telemetry: false, ...more });
const stripe = client();

const ask = async (method, where, body) => {
  const answer = await fetch(control.replace(/\/$/, '') + where, {
    method, headers: { 'content-type': 'application/json' }, body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  assert(answer.ok, text);
  return text ? JSON.parse(text) : null;
};
const configure = (settings) => ask('PATCH', '/vendors/stripe/settings', settings);
const refused = (call, type) => assert.rejects(call, (error) => {
  assert.strictEqual(error.type, type, error.message);
  return true;
});

async function records() {
  const made = await stripe.customers.create({ name: 'Ann & Co', metadata: { a: '1', b: '2' }, preferred_locales: ['en', 'fr'] });
  assert.match(made.lastResponse.requestId, /^req_/);
  const changed = await stripe.customers.update(made.id, { name: '', metadata: { a: null } });
  assert.strictEqual(changed.name, null);
  assert.deepStrictEqual(changed.metadata, { b: '2' });
  assert.strictEqual((await stripe.customers.del(made.id)).deleted, true);
  assert.strictEqual((await stripe.customers.retrieve(made.id)).deleted, true);
  await refused(() => stripe.customers.retrieve('cus_x'), 'StripeInvalidRequestError');
}

async function pages() {
  const made = [];
  for (let n = 0; n < 250; n += 1) made.push((await stripe.customers.create({ email: `n${n}@node.example`, metadata: { node: 'y' } })).id);
  const seen = [];
  for await (const one of stripe.customers.list({ limit: 100 })) seen.push(one.id);
  assert.deepStrictEqual(seen.slice(0, 250), [...made].reverse());
  assert.strictEqual(new Set(seen).size, seen.length);
  const back = await stripe.customers.list({ limit: 100, ending_before: made[0] }).autoPagingToArray({ limit: 1000 });
  assert.deepStrictEqual(back.map((one) => one.id), made.slice(1));
  const found = await stripe.customers.search({ query: "metadata['node']:'y'", limit: 100 }).autoPagingToArray({ limit: 1000 });
  assert.strictEqual(found.length, 250);
}

async function billing() {
  const paid = await stripe.paymentIntents.create({ amount: 2000, currency: 'usd', payment_method: 'pm_card_visa', confirm: true });
  const whole = await stripe.paymentIntents.retrieve(paid.id, { expand: ['latest_charge.balance_transaction'] });
  assert.strictEqual(whole.latest_charge.balance_transaction.net, 2000 - 88);
  const refund = await stripe.refunds.create({ payment_intent: paid.id, amount: 100 });
  assert.deepStrictEqual((await stripe.refunds.update(refund.id, { metadata: { case: '7' } })).metadata, { case: '7' });

  const product = await stripe.products.create({ name: 'Node', default_price_data: { currency: 'usd', unit_amount: 1500, recurring: { interval: 'month' } } });
  const start = Math.floor(Date.now() / 1000);
  const clock = await stripe.testHelpers.testClocks.create({ frozen_time: start });
  const good = await stripe.customers.create({ test_clock: clock.id, payment_method: 'pm_card_visa' });
  const method = (await stripe.customers.listPaymentMethods(good.id)).data[0].id;
  const kept = await stripe.subscriptions.create({ customer: good.id, items: [{ price: product.default_price }], default_payment_method: method });
  assert.strictEqual(kept.status, 'active');
  const poor = await stripe.customers.create({ test_clock: clock.id });
  const trial = await stripe.subscriptions.create({
    customer: poor.id, items: [{ price: product.default_price }], trial_period_days: 3,
    trial_settings: { end_behavior: { missing_payment_method: 'pause' } },
  });
  await stripe.testHelpers.testClocks.advance(clock.id, { frozen_time: start + 32 * 86400 });
  assert.strictEqual((await stripe.subscriptions.retrieve(trial.id)).status, 'paused');
  assert.strictEqual((await stripe.subscriptions.retrieve(kept.id, { expand: ['latest_invoice'] })).latest_invoice.billing_reason, 'subscription_cycle');
  assert.strictEqual((await stripe.subscriptions.resume(trial.id)).status, 'active');
  const types = (await stripe.events.list({ limit: 100 })).data.map((event) => event.type);
  assert(types.includes('customer.subscription.paused') && types.includes('customer.subscription.resumed'));

  const payout = await stripe.payouts.create({ amount: 100, currency: 'usd' });
  await refused(() => stripe.payouts.reverse(payout.id), 'StripeInvalidRequestError');
  await ask('POST', '/vendors/stripe/happen/arrive_payout', { payout: payout.id });
  const back = await stripe.payouts.reverse(payout.id);
  assert.deepStrictEqual([back.original_payout, (await stripe.payouts.retrieve(payout.id)).reversed_by], [payout.id, back.id]);
  const context = { stripeContext: credentials.connected_account };
  const theirs = await stripe.customers.create({ name: 'theirs' }, context);
  assert.strictEqual((await stripe.customers.retrieve(theirs.id, {}, context)).name, 'theirs');
  await refused(() => stripe.customers.retrieve(theirs.id), 'StripeInvalidRequestError');
}

async function errors() {
  await refused(() => client('expired_key').balance.retrieve(), 'StripeAuthenticationError');
  await refused(() => client('restricted_key').refunds.create({ charge: 'ch_1' }), 'StripePermissionError');
  await assert.rejects(
    () => stripe.paymentIntents.create({ amount: 900, currency: 'usd', payment_method: 'pm_card_chargeDeclined', confirm: true }),
    (error) => error.type === 'StripeCardError' && error.decline_code === 'generic_decline' && error.payment_intent.status === 'requires_payment_method',
  );
  await assert.rejects(() => stripe.paymentIntents.create({ currency: 'usd' }), (error) => error.param === 'amount');
  await ask('POST', '/faults', { vendor: 'stripe', kind: 'rate_limited', times: 1 });
  await refused(() => client('secret_key', { maxNetworkRetries: 0 }).balance.retrieve(), 'StripeRateLimitError');
  await configure({ work_ms: 300 });
  const plain = client('secret_key', { maxNetworkRetries: 0 });
  const key = { idempotencyKey: 'node-both' };
  const both = await Promise.allSettled([1, 2].map(() => plain.customers.create({ name: 'both' }, key)));
  await configure({ work_ms: 0 });
  const failed = both.filter((one) => one.status === 'rejected');
  assert.strictEqual(failed.length, 1);
  assert.strictEqual(failed[0].reason.statusCode, 409);
  const replay = await plain.customers.create({ name: 'both' }, key);
  assert.strictEqual(replay.id, both.find((one) => one.status === 'fulfilled').value.id);
  assert.strictEqual(replay.lastResponse.headers['idempotent-replayed'], 'true');
  await refused(() => plain.customers.create({ name: 'other' }, key), 'StripeIdempotencyError');
}

async function retries() {
  await configure({ should_retry: true });
  await ask('POST', '/faults', { vendor: 'stripe', method: 'POST', path: '/v1/products', kind: 'rate_limited', times: 1 });
  await ask('POST', '/faults', { vendor: 'stripe', method: 'POST', path: '/v1/products', kind: 'server_error', times: 1 });
  await stripe.products.create({ name: 'Retried' });
  await configure({ should_retry: null });
  const { requests } = await ask('GET', '/requests?vendor=stripe&path=/v1/products');
  const keys = requests.filter((one) => one.body.includes('Retried')).map((one) => one.headers.find(([name]) => name === 'idempotency-key')[1]);
  assert.strictEqual(keys.length, 3);
  assert.strictEqual(new Set(keys).size, 1);
  await ask('POST', '/faults', { vendor: 'stripe', method: 'POST', path: '/v1/products', kind: 'reset_after', times: 1 });
  await stripe.products.create({ name: 'Lost answer' });
  const all = await stripe.products.list({ limit: 100 }).autoPagingToArray({ limit: 1000 });
  assert.strictEqual(all.filter((one) => one.name === 'Lost answer').length, 1);
}

async function webhooks() {
  const inbox = [];
  let wake = () => {};
  const server = http.createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      inbox.push([Buffer.concat(parts), request.headers['stripe-signature']]);
      response.end();
      wake();
    });
  });
  await new Promise((ready) => { server.listen(0, '127.0.0.1', ready); });
  const next = async () => {
    while (inbox.length === 0) await new Promise((again) => { wake = again; });
    return inbox.shift();
  };
  const here = `http://127.0.0.1:${server.address().port}/hook`;
  const endpoint = await stripe.webhookEndpoints.create({ url: here, enabled_events: ['charge.succeeded', 'payment_intent.succeeded'] });
  const intent = await stripe.paymentIntents.create({ amount: 5000, currency: 'jpy', payment_method: 'pm_card_visa', confirm: true });
  const seen = {};
  for (let n = 0; n < 2; n += 1) {
    const [body, signature] = await next();
    const event = stripe.webhooks.constructEvent(body, signature, endpoint.secret);
    seen[event.type] = event.data.object;
    assert.throws(() => stripe.webhooks.constructEvent(Buffer.concat([body, Buffer.from(' ')]), signature, endpoint.secret));
  }
  assert.strictEqual(seen['payment_intent.succeeded'].id, intent.id);
  assert.strictEqual(seen['charge.succeeded'].balance_transaction, null);
  await stripe.webhookEndpoints.del(endpoint.id);
  const destination = await stripe.v2.core.eventDestinations.create({
    name: 'thin', type: 'webhook_endpoint', event_payload: 'thin', enabled_events: ['v1.product.created'],
    webhook_endpoint: { url: here }, include: ['webhook_endpoint.signing_secret'],
  });
  const product = await stripe.products.create({ name: 'Thin' });
  const [body, signature] = await next();
  const note = stripe.parseEventNotification(body, signature, destination.webhook_endpoint.signing_secret);
  assert.strictEqual(note.related_object.id, product.id);
  assert.strictEqual((await note.fetchRelatedObject()).name, 'Thin');
  server.close();
  server.closeAllConnections();
}

(async () => {
  for (const part of [records, pages, billing, errors, retries, webhooks]) await part();
  process.stdout.write('ok\n');
})().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
