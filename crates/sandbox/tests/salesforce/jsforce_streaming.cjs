// jsforce and its Faye client on the simulated org's streams: PushTopics, events, changes, generic channels, replay.
const assert = require('node:assert');
require('./node20.cjs');
const jsforce = require('jsforce');
const { StreamingExtension } = require('jsforce/api/streaming');

const known = JSON.parse(process.env.SF_CREDENTIALS);
const oauth2 = { loginUrl: known.login_url, clientId: known.client_id, clientSecret: known.client_secret };
const control = async (method, path, body) => {
  const answer = await fetch(`${process.env.SF_CONTROL}vendors/salesforce/${path}`, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
};
const happen = (name, body = {}) => control('POST', `happen/${name}`, body);
const settings = (body) => control('PATCH', 'settings', body);

async function signedIn() {
  const conn = new jsforce.Connection({ oauth2, instanceUrl: known.instance_url, version: '62.0' });
  await conn.authorize({ grant_type: 'client_credentials' });
  return conn;
}

// Keeps what comes and hands it out one by one.
function inbox() {
  const [come, wanted] = [[], []];
  const take = (message) => (wanted.length ? wanted.shift()(message) : come.push(message));
  return { take, come, next: () => (come.length ? Promise.resolve(come.shift()) : new Promise((done) => wanted.push(done))) };
}

async function listen(client, channel) {
  const box = inbox();
  // Faye begins anew after half a minute by itself; a test need not wait for that.
  client._dispatcher.retry = 0.05;
  await client.subscribe(channel, box.take);
  return box;
}

async function topics(conn) {
  const topic = { Name: 'HotAccounts', Query: "SELECT Id, Name, Rating FROM Account WHERE Rating = 'Hot'", ApiVersion: 62.0, NotifyForFields: 'Referenced' };
  await assert.rejects(conn.sobject('PushTopic').create({ ...topic, Query: 'SELECT Nope FROM Account' }), (error) => error.errorCode === 'INVALID_FIELD');
  assert.ok((await conn.sobject('PushTopic').create(topic)).success);
  const box = inbox();
  const listening = conn.streaming.topic('HotAccounts').subscribe(box.take);
  await listening;
  const cold = await conn.sobject('Account').create({ Name: 'Stream Cold', Rating: 'Cold' });
  const hot = await conn.sobject('Account').create({ Name: 'Stream Hot', Rating: 'Hot' });
  const created = await box.next();
  assert.deepStrictEqual(created.sobject, { Id: hot.id, Name: 'Stream Hot', Rating: 'Hot' });
  assert.strictEqual(created.event.type, 'created');
  await conn.sobject('Account').update({ Id: hot.id, Site: 'nobody asked for this field' });
  await conn.sobject('Account').update({ Id: cold.id, Rating: 'Hot' });
  const updated = await box.next();
  assert.deepStrictEqual([updated.event.type, updated.sobject.Id], ['updated', cold.id]);
  assert.ok(updated.event.replayId > created.event.replayId);
  await conn.sobject('Account').destroy(hot.id);
  const deleted = await box.next();
  assert.deepStrictEqual([deleted.event.type, deleted.sobject], ['deleted', { Id: hot.id }]);
  const missing = inbox();
  await assert.rejects(Promise.resolve(conn.streaming.topic('NoSuchTopic').subscribe(missing.take)), /does not exist {\/topic\/NoSuchTopic}/);
}

async function generic(conn) {
  const name = '/u/notices/All';
  await conn.sobject('StreamingChannel').create({ Name: name });
  const box = inbox();
  await conn.streaming.channel(name).subscribe(box.take);
  assert.strictEqual((await conn.streaming.channel(name).push({ payload: 'tea', userIds: [] })).fanoutCount, -1);
  assert.strictEqual((await box.next()).payload, 'tea');
}

async function events(conn) {
  const channel = '/event/Order_Event__e';
  const client = conn.streaming.createClient([new StreamingExtension.Replay(channel, -1)]);
  const box = await listen(client, channel);
  await conn.sobject('Order_Event__e').create({ Number__c: '1' });
  const first = await box.next();
  assert.strictEqual(first.payload.Number__c, '1');
  assert.match(first.payload.CreatedDate, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.match(first.event.EventUuid, /^[0-9a-f-]{36}$/);
  await client.disconnect();

  // What happens while nobody listens is told to who comes back with the last replay id.
  for (const Number__c of ['2', '3']) await conn.sobject('Order_Event__e').create({ Number__c });
  const again = conn.streaming.createClient([new StreamingExtension.Replay(channel, first.event.replayId)]);
  const missed = await listen(again, channel);
  assert.deepStrictEqual([(await missed.next()).payload.Number__c, (await missed.next()).payload.Number__c], ['2', '3']);

  // The line breaks: the client asks again and goes on where it was.
  await settings({ stream_breaks: 1, stream_break_events: 0 });
  await conn.sobject('Order_Event__e').create({ Number__c: '4' });
  assert.strictEqual((await missed.next()).payload.Number__c, '4');
  // The server forgets the client: it shakes hands anew, and the extension brings what it had missed.
  await happen('forget_listeners');
  await conn.sobject('Order_Event__e').create({ Number__c: '5' });
  assert.strictEqual((await missed.next()).payload.Number__c, '5');
  assert.strictEqual(missed.come.length, 0);
  await again.disconnect();

  const all = conn.streaming.createClient([new StreamingExtension.Replay(channel, -2)]);
  const kept = await listen(all, channel);
  const numbers = [];
  while (numbers.length < 5) numbers.push((await kept.next()).payload.Number__c);
  assert.deepStrictEqual(numbers, ['1', '2', '3', '4', '5']);
  await all.disconnect();
  const wrong = conn.streaming.createClient([new StreamingExtension.Replay(channel, 999999)]);
  await assert.rejects(listen(wrong, channel), (error) => /^400::The replayId \{999999\}/.test(error.message));
  await wrong.disconnect();
}

async function changes(conn) {
  const client = conn.streaming.createClient();
  const box = await listen(client, '/data/AccountChangeEvent');
  const made = await conn.sobject('Account').create({ Name: 'Streamed', Site: 'S', BillingCity: 'Ulm' });
  const created = (await box.next()).payload;
  assert.deepStrictEqual([created.ChangeEventHeader.changeType, created.ChangeEventHeader.recordIds, created.Name], ['CREATE', [made.id], 'Streamed']);
  assert.strictEqual(created.BillingAddress.City, 'Ulm');
  assert.match(created.CreatedDate, /Z$/);
  await conn.sobject('Account').update({ Id: made.id, Name: 'Streamed 2', Site: null });
  const updated = (await box.next()).payload;
  const fields = updated.ChangeEventHeader.changedFields;
  assert.ok(fields.includes('Name') && fields.includes('Site') && !fields.includes('BillingAddress.City'));
  assert.deepStrictEqual(updated.ChangeEventHeader.nulledFields, ['Site']);
  assert.deepStrictEqual([updated.Name, updated.Site], ['Streamed 2', null]);
  await client.disconnect();
}

async function signedOut() {
  const conn = await signedIn();
  const failed = inbox();
  const client = conn.streaming.createClient([new StreamingExtension.AuthFailure(failed.take)]);
  await listen(client, '/data/AccountChangeEvent');
  await happen('expire_sessions');
  await happen('forget_listeners');
  assert.strictEqual((await failed.next()).error, '401::Authentication invalid');
  const late = conn.streaming.createClient([new StreamingExtension.AuthFailure(failed.take)]);
  late.subscribe('/data/AccountChangeEvent', () => {});
  const denied = await failed.next();
  assert.deepStrictEqual([denied.channel, denied.error, denied.ext.sfdc.failureReason], ['/meta/handshake', '403::Handshake denied', '401::Authentication invalid']);
}

(async () => {
  const conn = await signedIn();
  await topics(conn);
  await generic(conn);
  await events(conn);
  await changes(conn);
  await signedOut();
  console.log('all good');
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(1); });
