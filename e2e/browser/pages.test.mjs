// The pages of the local stack, as a person uses them. `.ci/browser` starts the stack and sets STACK to its address.

import axe from 'axe-core';
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {after, afterEach, before, beforeEach, test} from 'node:test';
import {chromium} from 'playwright-core';

const stack = process.env.STACK;
let browser, page, asked, mistakes;

before(async () => {
  browser = await chromium.launch({
    executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-background-networking'],
  });
});
after(() => browser?.close());

/** A page whose requests are noted, and its mistakes. */
async function open(options = {}) {
  const context = await browser.newContext(options);
  page = await context.newPage();
  [asked, mistakes] = [[], []];
  page.on('request', request => asked.push(request.url()));
  page.on('pageerror', error => mistakes.push(error));
  page.setDefaultTimeout(20_000);
}
beforeEach(() => open());
afterEach(async () => {
  await page.context().close();
  const elsewhere = asked.filter(url => !url.startsWith(`${stack}/`) && !url.startsWith('data:') && !url.startsWith('blob:'));
  assert.deepEqual(elsewhere, [], 'nothing comes from the network');
  assert.deepEqual(mistakes, []);
});

const row = id => page.locator('#list-of-tokens tr', {has: page.locator(`td:first-child:text-is("${id}")`)});
const cell = (id, column) => row(id).locator('td').nth(column);
const idOf = token => JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).jti;

async function openConsole() {
  await page.goto(`${stack}/`);
  await page.locator('#list-of-tokens tr').first().waitFor();
}

/** The id of a token made with the console's form. */
async function create(name) {
  await page.getByLabel('Name').fill(name);
  await page.getByRole('button', {name: 'Create'}).click();
  return idOf(await page.locator('#of-tokens pre').textContent());
}

/** What of the page is not for everybody, as axe sees it. */
async function violations() {
  await page.evaluate(axe.source);
  const {violations} = await page.evaluate(() => globalThis.axe.run());
  return violations.map(({id, nodes}) => [id, ...nodes.map(node => node.html)]);
}

test('a token is created, rotated and deleted', async () => {
  await openConsole();
  const id = await create('by hand');
  assert.equal(await cell(id, 1).textContent(), 'by hand');
  await page.getByRole('button', {name: `Rotate ${id}`, exact: true}).click();
  await page.getByText(`${id} is replaced by`).waitFor();
  const next = await cell(id, 6).textContent();
  assert.equal(await cell(next, 1).textContent(), 'by hand');
  await page.getByRole('button', {name: `Delete ${next}`, exact: true}).click();
  await page.getByText(`${next} is deleted.`).waitFor();
  assert.equal(await row(next).count(), 0);
});

test('what is refused is said in words', async () => {
  await openConsole();
  await page.locator('#create').getByLabel('Password').fill('wrong');
  await page.getByRole('button', {name: 'Create'}).click();
  await page.getByText('400: The email or password you have entered is incorrect. Please try again.').waitFor();
});

test('a customer logs in, and the decoder says what the token says, and why one is not good', async () => {
  await openConsole();
  await page.getByRole('button', {name: 'Log in'}).click();
  await page.locator('#of-login pre').waitFor();
  await page.locator('#of-login').getByRole('button').click();
  await page.getByText('It is good now.').waitFor();
  assert.equal(JSON.parse(await page.locator('#of-decoder pre').textContent()).bc_customer_id, 313);

  const id = await create('short');
  await page.getByRole('button', {name: `Look at ${id}`, exact: true}).click();
  await page.getByText('It is good now.').waitFor();
  const token = await page.locator('#jwt').inputValue();
  await page.getByRole('button', {name: `Delete ${id}`, exact: true}).click();
  await page.getByText(`${id} is deleted.`).waitFor();
  for (const [shown, problem] of [[token, 'deleted'], [`${token.slice(0, -9)}AAAAAAAAA`, 'wrong signature']]) {
    await page.locator('#jwt').fill(shown);
    await page.getByRole('button', {name: 'Look', exact: true}).click();
    await page.getByText(`It is not good: ${problem}`).waitFor();
  }
});

test('the last requests can be sent again from a shell', async () => {
  await openConsole();
  const id = await create("it's mine");
  const request = page.locator('#list-of-requests tr', {hasText: 'POST /api/io/auth/backend'}).first();
  assert.equal(await request.locator('td').nth(2).textContent(), '200');
  const command = await request.locator('pre').textContent();
  const answer = JSON.parse(execFileSync('sh', ['-c', `${command} -sS`], {encoding: 'utf8'}));
  assert.equal(answer.data[0].name, "it's mine");
  assert.notEqual(idOf(answer.data[0].token), id);
});

test('a request that is being read stays open while others come', async () => {
  await page.clock.install();
  await openConsole();
  await page.locator('#list-of-requests summary').first().click();
  const looked = page.waitForResponse('**/console/requests');
  await page.clock.runFor(3000);
  await looked;
  // By when this is answered, that is shown.
  await page.evaluate(() => fetch('/console/requests').then(answer => answer.json()));
  assert.equal(await page.locator('#list-of-requests details[open]').count(), 1);
});

for (const [path, tag, seen] of [
  ['/backend/tokens', 'server-to-server-tokens', '"admin@example.com"'], ['/auth/storefront', 'storefront-tokens', '"token"'],
]) {
  test(`the reference calls ${path} from the page, with the demo data`, async () => {
    await page.goto(`${stack}/docs#tag/${tag}/GET${path}`);
    await page.getByRole('button', {name: new RegExp(`Test Request.*get ${path}`)}).click();
    await page.getByRole('button', {name: /^Send/}).first().click();
    await page.getByText('200 OK').first().waitFor();
    await page.getByText(seen).first().waitFor();
  });
}

const phone = {viewport: {width: 375, height: 800}, isMobile: true, hasTouch: true};

for (const [where, options] of [
  ['in light colours', {colorScheme: 'light'}], ['in dark colours', {colorScheme: 'dark'}], ['on a phone', phone],
]) {
  test(`the console can be used by everybody, ${where}`, async () => {
    await page.context().close();
    await open(options);
    await openConsole();
    await create('seen');
    assert.deepEqual(await violations(), []);
  });
}

for (const colorScheme of ['light', 'dark']) {
  test(`the reference can be read by everybody, in ${colorScheme} colours`, async () => {
    await page.context().close();
    await open({colorScheme});
    await page.goto(`${stack}/docs`);
    await page.getByRole('heading', {name: 'Creates a server-to-server token.'}).waitFor();
    // The field for the body of a request, which is Scalar's, does not say whether it is open.
    assert.deepEqual((await violations()).filter(([id]) => id !== 'aria-required-attr'), []);
  });
}

for (const path of ['/', '/docs']) {
  test(`${path} fits a phone`, async () => {
    await page.context().close();
    await open(phone);
    await page.goto(stack + path);
    await page.getByRole('heading', {name: 'b2b-auth'}).first().waitFor();
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert(width <= 375, `${width} pixels`);
  });
}

test('nothing of the console is moved sideways on a phone', async () => {
  await page.context().close();
  await open(phone);
  await openConsole();
  const tables = await page.locator('.wide').evaluateAll(all => all.map(table => table.scrollWidth - table.clientWidth));
  assert.deepEqual(tables, [0, 0, 0]);
});
