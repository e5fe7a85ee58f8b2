// jsforce against the simulated org: sign-ins, refresh, records, queries, collections, bulk.
const assert = require('node:assert');
const http = require('node:http');
require('./node20.cjs');
const jsforce = require('jsforce');

const known = JSON.parse(process.env.SF_CREDENTIALS);
const base = { loginUrl: known.login_url, clientId: known.client_id, clientSecret: known.client_secret };

const location = (url) => new Promise((done, fail) => {
  http.get(url, (answer) => { answer.resume(); done(answer.headers.location); }).on('error', fail);
});

async function signIns() {
  const oauth2 = new jsforce.OAuth2({ ...base, redirectUri: 'http://127.0.0.1:9/cb', useVerifier: true });
  const code = new URL(await location(oauth2.getAuthorizationUrl({ scope: 'api refresh_token', state: 's1' }))).searchParams.get('code');
  const tokens = await oauth2.requestToken(code);
  assert.ok(tokens.access_token && tokens.refresh_token && tokens.instance_url);
  const again = await oauth2.refreshToken(tokens.refresh_token);
  assert.ok(again.access_token);

  let refreshed = 0;
  const conn = new jsforce.Connection({ oauth2, instanceUrl: tokens.instance_url, accessToken: 'bad', refreshToken: tokens.refresh_token, version: '62.0' });
  conn.on('refresh', () => { refreshed += 1; });
  const answers = await Promise.all([1, 2, 3].map(() => conn.query('SELECT Id FROM Account LIMIT 1')));
  assert.ok(answers.every((answer) => answer.totalSize === 1));
  assert.strictEqual(refreshed, 1);
  assert.strictEqual((await conn.identity()).organization_id, known.organization_id);
  await oauth2.revokeToken(tokens.refresh_token);
  await assert.rejects(oauth2.refreshToken(tokens.refresh_token), (error) => error.name === 'invalid_grant');

  const stale = new jsforce.Connection({ instanceUrl: known.instance_url, accessToken: 'bad', version: '62.0' });
  await assert.rejects(stale.query('SELECT Id FROM Account'), (error) => error.errorCode === 'INVALID_SESSION_ID');

  const soap = new jsforce.Connection({ loginUrl: known.login_url, version: '62.0' });
  const user = await soap.login(known.username, known.password + known.security_token);
  assert.strictEqual(user.organizationId, known.organization_id);
  assert.strictEqual((await soap.query('SELECT Id FROM Account LIMIT 1')).totalSize, 1);
  await assert.rejects(new jsforce.Connection({ loginUrl: known.login_url }).login(known.username, 'no'), /INVALID_LOGIN/);

  const app = new jsforce.Connection({ oauth2: base, instanceUrl: known.instance_url, version: '62.0' });
  await app.authorize({ grant_type: 'client_credentials' });
  return app;
}

async function records(conn) {
  const accounts = conn.sobject('Account');
  const made = await accounts.create({ Name: 'Js', Ext__c: 'js.1' });
  assert.ok(made.success);
  assert.strictEqual((await accounts.retrieve(made.id)).Name, 'Js');
  assert.ok((await accounts.update({ Id: made.id, Site: 'S' })).success);
  assert.ok((await accounts.upsert({ Ext__c: 'js.1', Site: 'T' }, 'Ext__c')).success);
  const many = await accounts.create([{ Name: 'M1' }, { Name: null }, { Name: 'M3', Ext__c: 'js.1' }]);
  assert.deepStrictEqual(many.map((one) => one.success), [true, false, true]);
  const none = await accounts.create([{ Name: 'N1' }, {}], { allOrNone: true });
  assert.strictEqual(none[0].errors[0].statusCode, 'ALL_OR_NONE_OPERATION_ROLLED_BACK');
  await assert.rejects(accounts.upsert({ Ext__c: 'js.1', Site: 'U' }, 'Ext__c'), (error) => error.errorCode === 'MULTIPLE_CHOICES' && error.data.every((url) => typeof url === 'string'));
  const ids = [many[0].id, many[2].id];
  assert.deepStrictEqual((await accounts.retrieve(ids)).map((one) => one.Name), ['M1', 'M3']);
  assert.ok((await accounts.update(ids.map((Id) => ({ Id, Site: 'V' })))).every((one) => one.success));
  const upserted = await accounts.upsert([{ External_Id__c: 'js-1', Name: 'U1' }, { External_Id__c: 'js-2', Name: 'U2' }], 'External_Id__c');
  assert.ok(upserted.every((one) => one.success && one.created));
  const rolled = ['ALL_OR_NONE_OPERATION_ROLLED_BACK', 'MALFORMED_ID'];
  const codes = (results) => results.map((one) => (one.success ? '' : one.errors[0].statusCode));
  const wrong = [{ External_Id__c: 'js-1', Name: 'W1' }, { External_Id__c: 'js-9', Name: 'W2', Id: 'malformed' }];
  assert.deepStrictEqual(codes(await accounts.upsert(wrong, 'External_Id__c', { allOrNone: true })), rolled);
  assert.deepStrictEqual(codes(await accounts.upsert([{ Id: upserted[0].id, Name: 'W1' }, { Id: 'malformed', Name: 'W2' }], 'Id', { allOrNone: true })), rolled);
  assert.strictEqual((await accounts.retrieve(upserted[0].id)).Name, 'U1');
  assert.deepStrictEqual(codes(await accounts.upsert(wrong, 'External_Id__c')), ['', 'MALFORMED_ID']);
  assert.ok((await accounts.destroy(ids)).every((one) => one.success));
  assert.ok((await accounts.destroy(made.id)).success);
  await assert.rejects(accounts.retrieve(made.id), (error) => error.errorCode === 'ENTITY_IS_DELETED');
  await assert.rejects(accounts.create({ Nope: 1 }), (error) => error.errorCode === 'INVALID_FIELD');
  const described = await accounts.describe();
  assert.ok(described.fields.some((field) => field.name === 'External_Id__c' && field.externalId));
  assert.ok((await conn.describeGlobal()).sobjects.length > 20);
  assert.ok((await conn.limits()).DailyApiRequests.Remaining > 0);
  assert.ok(conn.limitInfo.apiUsage.used > 0);
  const [from, to] = [new Date(Date.now() - 300000), new Date(Date.now() + 300000)];
  assert.ok((await accounts.updated(from, to)).ids.length > 0);
  assert.ok((await accounts.deleted(from, to)).deletedRecords.some((one) => one.id === made.id));
  assert.ok((await conn.search('FIND {W1} IN ALL FIELDS RETURNING Account(Id, Name)')).searchRecords.length === 1);
}

async function queries(conn) {
  const first = await conn.query('SELECT Id FROM Invoice__c');
  assert.strictEqual(first.totalSize, 180);
  const all = await conn.query('SELECT Id, (SELECT Id FROM Lines__r) FROM Invoice__c ORDER BY Id', { autoFetch: true, maxFetch: 5000, headers: { 'Sforce-Query-Options': 'batchSize=200' } });
  assert.strictEqual(all.records.length, 180);
  await fetch(`${process.env.SF_CONTROL}vendors/salesforce/settings`, { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: '{"query_page_rows": 100}' });
  const page = await conn.query('SELECT Id FROM Invoice__c');
  assert.deepStrictEqual([page.done, page.records.length], [false, 100]);
  const rest = await conn.queryMore(page.nextRecordsUrl);
  assert.deepStrictEqual([rest.done, rest.records.length], [true, 80]);
  assert.strictEqual((await conn.query('SELECT Id FROM Invoice__c', { autoFetch: true })).records.length, 180);
  assert.ok((await conn.query('SELECT Id FROM Account', { scanAll: true })).totalSize > 60);
  const found = await conn.sobject('Contact').find({ LastName: { $like: '%a%' } }, ['Id', 'Account.Name']).sort({ LastName: 1 }).limit(3);
  assert.strictEqual(found.length, 3);
}

async function bulk(conn) {
  const input = [{ LastName: 'B1', Company: 'JsBulk', External_Id__c: 'JB-1' }, { LastName: '', Company: 'JsBulk', External_Id__c: 'JB-2' }];
  conn.bulk2.pollInterval = 20;
  const inserted = await conn.bulk2.loadAndWaitForResults({ object: 'Lead', operation: 'insert', input });
  assert.deepStrictEqual([inserted.successfulResults.length, inserted.failedResults.length], [1, 1]);
  assert.match(inserted.failedResults[0].sf__Error, /^REQUIRED_FIELD_MISSING:Required fields are missing: \[LastName\]:LastName --$/);
  const upserted = await conn.bulk2.loadAndWaitForResults({ object: 'Lead', operation: 'upsert', externalIdFieldName: 'External_Id__c', input: [{ LastName: 'B2', Company: 'JsBulk', External_Id__c: 'JB-1', Id: '' }] });
  assert.strictEqual(upserted.successfulResults[0].sf__Created, 'false');
  const rows = await (await conn.bulk2.query("SELECT Id, LastName FROM Lead WHERE Company = 'JsBulk'", { pollInterval: 20 })).toArray();
  assert.deepStrictEqual(rows.map((row) => row.LastName), ['B2']);
}

(async () => {
  const conn = await signIns();
  await records(conn);
  await queries(conn);
  await bulk(conn);
  console.log('all good');
})().catch((error) => { console.error(error); process.exit(1); });
