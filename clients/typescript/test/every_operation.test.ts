// Calls every operation of the description at a running stack: API is its address, TOKEN a server-to-server token, JWT one of
// its customer, ACCESS_TOKEN that of an API account. Pages of https://shop.example may call it.

import assert from 'node:assert/strict';
import {test} from 'node:test';
import {b2bAuth, type ErrorBody, type InvalidFields, type paths} from '../src/index.js';

type Method = 'get' | 'put' | 'post' | 'delete' | 'options' | 'head' | 'patch' | 'trace';
type Operation = {
  [P in keyof paths]: {[M in Method]: [paths[P][M]] extends [undefined] ? never : `${Uppercase<M>} ${P}`}[Method]
}[keyof paths];

const api = variable('API');
const jwtToken = variable('JWT');
const client = b2bAuth(api, {authToken: variable('TOKEN')});
const open = b2bAuth(api);

const called: string[] = [];
for (const each of [client, open]) {
  each.use({onRequest: ({request, schemaPath}) => void called.push(`${request.method} ${schemaPath}`)});
}

const admin = {storeHash: 'demostore', email: 'admin@example.com', password: 'demo-admin-password'};
const buyer = {storeHash: 'demostore', email: 'buyer@example.com', password: 'demo-buyer-password', channelId: 1};
const header = {Origin: 'https://shop.example'};
let token = '';
let id = 0;
let storefrontToken = '';

// The compiler refuses this when an operation is missing. They run in this order.
const operations: Record<Operation, () => Promise<void>> = {
  'POST /auth/backend': async () => {
    const [created] = good(await open.POST('/auth/backend', {body: {...admin, name: 'typescript'}}));
    assert.equal(created?.name, 'typescript');
    token = created.token;
  },
  'GET /backend/tokens': async () => {
    const tokens = good(await client.GET('/backend/tokens', {params: {query: {limit: 250}}}));
    id = tokens.find(each => each.token === token)?.id ?? 0;
    assert.ok(id > 0);
  },
  'POST /auth/backend/rotate': async () => {
    const [next] = good(await client.POST('/auth/backend/rotate', {
      params: {header: {'Idempotency-Key': crypto.randomUUID()}},
      body: {id, overlapSeconds: 0},
    }));
    assert.equal(next?.replacesId, id);
    id = next.id;
  },
  'DELETE /auth/backend': async () => {
    assert.deepEqual(good(await client.DELETE('/auth/backend', {body: {id}})), []);
  },
  'GET /auth/storefront': async () => {
    storefrontToken = good(await client.GET('/auth/storefront', {params: {query: {jwtToken, channelId: 1}}})).token;
    assert.match(storefrontToken, /^eyJ/);
  },
  'OPTIONS /auth/storefront': async () => {
    const {response} = await open.OPTIONS('/auth/storefront', {params: {header}});
    assert.equal(response.headers.get('access-control-allow-origin'), header.Origin);
  },
  'POST /auth/customers': async () => {
    assert.equal(good(await client.POST('/auth/customers', {body: {...buyer, name: 'web'}})).name, 'web');
  },
  'OPTIONS /auth/customers': async () => {
    const {response} = await open.OPTIONS('/auth/customers', {params: {header}});
    assert.equal(response.headers.get('access-control-allow-origin'), header.Origin);
  },
  'POST /auth/customers/storefront': async () => {
    const tokens = good(await client.POST('/auth/customers/storefront', {body: {customerId: 313}})).token;
    assert.equal(tokens.length, 1);
  },
  // The one answer without an envelope.
  'POST /oauth/introspect': async () => {
    const {data} = await client.POST('/oauth/introspect', {body: {token: storefrontToken}});
    assert.ok(data?.active && data.aud === 'storefront');
    assert.equal(data.bc_customer_id, 313);
  },
};

for (const [operation, call] of Object.entries(operations)) {
  test(operation, async () => {
    called.length = 0;
    await call();
    assert.deepEqual(called, [operation]);
  });
}

test('an error has a typed body', async () => {
  const {data, error, response} = await open.POST('/auth/backend', {body: {...admin, email: 'admin', name: ''}});
  assert.equal(data, undefined);
  assert.equal(response.status, 422);
  const text: string | undefined = error?.data.errMsg;
  assert.match(text ?? '', /^email: /);
  assert.equal(error?.detail, text);
  assert.equal(error?.code, 422);
  assert.deepEqual(Object.keys((error as InvalidFields).data.errors), ['email']);
});

test('a call takes a signal', async () => {
  await assert.rejects(open.GET('/backend/tokens', {signal: AbortSignal.abort()}), {name: 'AbortError'});
});

test('an API account may call too, and without credentials nobody', async () => {
  const account = b2bAuth(api, {accessToken: variable('ACCESS_TOKEN'), storeHash: 'demostore'});
  assert.ok(good(await account.GET('/backend/tokens')).length > 0);
  const {error} = await open.GET('/backend/tokens');
  assert.equal(error?.code, 401);
});

/** What a good answer says, out of its envelope. */
function good<T>({data, error}: {data?: {data?: T}; error?: ErrorBody | undefined}): NonNullable<T> {
  assert.ok(data?.data, error?.detail);
  return data.data;
}

function variable(name: string): string {
  const value = process.env[name];
  assert.ok(value, `${name} is not set`);
  return value;
}
