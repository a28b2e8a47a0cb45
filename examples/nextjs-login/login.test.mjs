// Logs in by HTTP, as a browser without JavaScript does. `next build` has run; API is the address of a running stack, TOKEN a
// server-to-server token.

import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {createServer} from 'node:http';
import {after, before, test} from 'node:test';
import {setTimeout} from 'node:timers/promises';

const api = process.env.API;
const started = [];
let site;

before(async () => {
  site = await start();
});
after(() => started.forEach(next => next.kill()));

/** Starts the built example, with these variables set otherwise, and says at which address. What it logs goes to `lines`. */
async function start(environment = {}, lines = []) {
  const next = spawn('node_modules/.bin/next', ['start', '--port', '0', '--hostname', '127.0.0.1'], {
    env: {
      ...process.env, B2B_AUTH_URL: api, B2B_AUTH_TOKEN: process.env.TOKEN, B2B_AUTH_STORE: 'demostore',
      ORDERS_URL: api.replace('/api/io', '/example/orders'), NEXT_TELEMETRY_DISABLED: '1', ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(next);
  return new Promise((resolve, reject) => {
    let log = '';
    next.on('exit', () => reject(new Error(log)));
    next.stderr.on('data', text => {
      log += text;
      lines.push(...String(text).trim().split('\n'));
    });
    next.stdout.on('data', text => {
      log += text;
      const address = /http:\/\/127\.0\.0\.1:\d+/.exec(log)?.[0];
      if (address && log.includes('Ready')) resolve(address);
    });
  });
}

/** Sends the form of the page with this e-mail and password. */
const send = (password, {at = site, origin = at, email = 'buyer@example.com'} = {}) =>
  submit(at, {origin}, {email, password});

/** Sends the form of this page, filled in so. */
async function submit(at, headers, fields) {
  const page = await (await fetch(at, {headers})).text();
  const form = new FormData();
  for (const [input] of page.matchAll(/<input type="hidden"[^>]*>/g)) {
    const attribute = name => new RegExp(` ${name}="([^"]*)"`).exec(input)?.[1].replaceAll('&quot;', '"') ?? '';
    form.set(attribute('name'), attribute('value'));
  }
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  return fetch(at, {method: 'POST', headers, body: form, redirect: 'manual'});
}

/** These lines, and no more, were logged; they may come after the answer. */
async function logged(lines, expected) {
  for (let times = 0; times < 100 && lines.length < expected.length; times += 1) await setTimeout(20);
  assert.deepEqual(lines.splice(0), expected);
}

const orders = (headers = {}, at = site) => fetch(`${at}/orders`, {headers, redirect: 'manual'});

/** The page says this, and nobody is logged in. */
async function refused(answer, text) {
  assert.match(await answer.text(), new RegExp(`<p role="alert">${text}</p>`));
  assert.deepEqual(answer.headers.getSetCookie(), []);
}

test('a shopper logs in, and the protected API knows who it is', async () => {
  const answer = await send('demo-buyer-password');
  assert.equal(answer.status, 303);
  assert.equal(answer.headers.get('location'), '/orders');
  const [cookie, ...more] = answer.headers.getSetCookie();
  assert.deepEqual(more, []);
  const [value, ...attributes] = cookie.split('; ');
  assert.match(value, /^__Host-storefront-token=eyJ/);
  assert.deepEqual(
    attributes.filter(attribute => !attribute.startsWith('Expires=')).sort(),
    ['HttpOnly', 'Max-Age=28800', 'Path=/', 'SameSite=lax', 'Secure'],
  );
  const {exp, iat} = JSON.parse(Buffer.from(value.split('.')[1], 'base64url'));
  assert.ok(Math.abs(exp - iat - 28_800) <= 5, 'the token ends with the cookie');

  const page = await orders({cookie: value});
  assert.equal(page.status, 200);
  assert.match(await page.text(), /customerId&quot;: &quot;313&quot;/);

  // Another shopper's id in the same token.
  const [header, claims, signature] = value.split('.');
  const other = Buffer.from(Buffer.from(claims, 'base64url').toString().replace('313', '314')).toString('base64url');
  assert.notEqual(other, claims);
  const tampered = await orders({cookie: [header, other, signature].join('.')});
  assert.equal(tampered.status, 307);
  assert.equal(tampered.headers.get('location'), '/');
});

test('without the cookie there are no orders', async () => {
  const answer = await orders();
  assert.equal(answer.status, 307);
  assert.equal(answer.headers.get('location'), '/');
});

test('a wrong password lets nobody in', async () => {
  await refused(await send('wrong'), 'E-mail or password is wrong.');
  await refused(await send(''), 'E-mail or password is wrong.');
  await refused(await send('wrong', {email: 'buyer'}), 'E-mail or password is wrong.');
  await refused(await submit(site, {origin: site}, {}), 'E-mail or password is wrong.');
});

test('a page of another origin cannot send the form', async () => {
  const answer = await send('demo-buyer-password', {origin: 'https://elsewhere.example'});
  assert.equal(answer.status, 500);
  assert.deepEqual(answer.headers.getSetCookie(), []);
});

test('after too many attempts it says how long to wait', async () => {
  for (let times = 0; times < 10; times += 1) await send('wrong', {email: 'nobody@example.com'});
  await refused(await send('wrong', {email: 'nobody@example.com'}), 'Please try again in \\d+ seconds.');
});

test('logging out takes the cookie away', async () => {
  const [given] = (await send('demo-buyer-password')).headers.getSetCookie();
  const answer = await submit(`${site}/orders`, {origin: site, cookie: given.split('; ')[0]}, {});
  assert.equal(answer.status, 303);
  assert.equal(answer.headers.get('location'), '/');
  const [cookie, ...more] = answer.headers.getSetCookie();
  assert.deepEqual(more, []);
  assert.deepEqual(cookie.split('; ').sort(), [
    'Expires=Thu, 01 Jan 1970 00:00:00 GMT', 'HttpOnly', 'Path=/', 'SameSite=lax', 'Secure', '__Host-storefront-token=',
  ]);
});

const LATER = 'Logging in is not possible at the moment. Please try again later.';

test('a store that is not set is no mistake of the shopper', async () => {
  const lines = [];
  await refused(await send('demo-buyer-password', {at: await start({B2B_AUTH_STORE: undefined}, lines)}), LATER);
  await logged(lines, ['Login: 422 Error']);
});

test('what fails is logged, and not shown to the shopper', async t => {
  let failure;
  const broken = createServer((_request, response) => failure(response)).listen(0, '127.0.0.1');
  t.after(() => broken.close());
  await new Promise(resolve => broken.once('listening', resolve));
  const lines = [];
  const url = `http://127.0.0.1:${broken.address().port}`;
  const at = await start({B2B_AUTH_URL: url, ORDERS_URL: url}, lines);
  const cookie = '__Host-storefront-token=secret';
  const cut = response => response.writeHead(200, {'Content-Length': 9}).write('{"a', () => response.destroy());
  const says = (status, body) => response => response.writeHead(status).end(body);

  for (const [how, login, page] of [
    [says(500, '{"detail": "secret"}'), '500 Error', '500'],
    [says(200, 'secret'), '200 SyntaxError', 'SyntaxError'],
    [cut, '200 TypeError', 'TypeError'],
    [response => response.destroy(), 'no answer TypeError', 'TypeError'],
  ]) {
    failure = how;
    await refused(await send('demo-buyer-password', {at}), LATER);
    await refused(await orders({cookie}, at), 'The orders are not available at the moment.');
    await logged(lines, [`Login: ${login}`, `Orders: ${page}`]);
  }
  failure = says(400, '{"code": 400, "data": {}, "meta": {"message": "Bad Request"}}');
  await refused(await send('demo-buyer-password', {at}), LATER);
  failure = says(429, '');
  await refused(await send('demo-buyer-password', {at}), 'Please try again in 60 seconds.');
});
