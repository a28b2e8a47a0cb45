'use strict';

const api = location.origin + '/api/io';
const $ = id => document.getElementById(id);

/** An element with attributes and children; what is text stays text. */
function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === 'onclick') made.addEventListener('click', value); else made.setAttribute(key, value);
  }
  made.append(...children.map(child => child ?? ''));
  return made;
}

const time = seconds => seconds === null ? '' : new Date(seconds * 1000).toLocaleString();

/** Calls the API, as anybody would. */
async function call(method, path, {body, token} = {}) {
  const headers = {};
  if (token) headers.authToken = token;
  if (body) headers['Content-Type'] = 'application/json';
  const answer = await fetch(api + path, {method, headers, body: body && JSON.stringify(body)});
  const {data, meta} = await answer.json();
  await showRequests();
  if (!answer.ok) throw new Error(`${answer.status}: ${data.errMsg}`);
  return {data, meta};
}

/** Shows what became of it. */
async function say(where, doing) {
  const output = $(where);
  output.className = '';
  output.replaceChildren('…');
  try {
    const said = await doing();
    output.replaceChildren(...[said].flat());
  } catch (error) {
    output.className = 'bad';
    output.replaceChildren(error.message);
  }
}

const fields = form => Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ''));
const shown = token => [element('pre', {}, token), element('button', {onclick: () => decode(token)}, 'What does it say?')];

/** The rows of a table. Each cell says its column, for where there is no room for columns. */
function showRows(id, rows) {
  const columns = [...$(id).closest('table').querySelectorAll('th')].map(head => head.textContent);
  for (const row of rows) [...row.cells].forEach((cell, index) => { cell.dataset.column = columns[index]; });
  $(id).replaceChildren(...rows);
}

async function showStack() {
  const stack = await (await fetch('/console/stack')).json();
  const addresses = {
    'Version': stack.version,
    'API': api,
    'DynamoDB and Secrets Manager': stack.awsUrl,
    'What stands for BigCommerce': stack.bigcommerceUrl,
    'Storefront endpoints are open to': stack.storefrontIsPublic ? 'anyone' : 'bearers of a server-to-server token',
    'App for current-customer JWTs': `${stack.app.clientId} / ${stack.app.clientSecret}`,
    'Current-customer JWT, for a day': stack.jwt,
  };
  for (const [name, value] of Object.entries(addresses)) {
    if (value) $('addresses').append(element('dt', {}, name), element('dd', {}, element('code', {}, value)));
  }
  showRows('credentials', stack.stores.flatMap(({storeHash, administrator, customer}) =>
    [['administrator', administrator], [`customer ${customer.id}`, customer]].map(([who, {email, password}]) =>
      element('tr', {}, ...[storeHash, who, email, password].map(text => element('td', {}, element('code', {}, text)))))));
  const [{storeHash, administrator, customer}] = stack.stores;
  for (const [form, {email, password}] of [['create', administrator], ['login', customer]]) {
    for (const [name, value] of Object.entries({storeHash, email, password})) $(form).elements[name].value = value;
  }
  $('token').value = stack.token;
}

async function listTokens() {
  const token = $('token').value.trim();
  const {data, meta} = await call('GET', '/backend/tokens?limit=250', {token});
  const {totalCount} = meta.pagination;
  $('count').textContent = totalCount === 1 ? '1 token' : `${totalCount} tokens`;
  const now = Date.now() / 1000;
  showRows('list-of-tokens', data.map(entry => {
    const rotate = element('button', {onclick: () => say('of-tokens', async () => {
      const {data: [made]} = await call('POST', '/auth/backend/rotate', {token, body: {id: entry.id, overlapSeconds: 3600}});
      await listTokens();
      return [`${made.replacesId} is replaced by ${made.id}, and good until ${time(made.replacedEndsAt)}:`, ...shown(made.token)];
    })}, `Rotate ${entry.id}`);
    const remove = element('button', {onclick: () => say('of-tokens', async () => {
      await call('DELETE', '/auth/backend', {token, body: {id: entry.id}});
      // The page's own may have gone.
      await listTokens().catch(() => $('list-of-tokens').replaceChildren());
      return `${entry.id} is deleted.`;
    })}, `Delete ${entry.id}`);
    const look = element('button', {onclick: () => decode(entry.token)}, `Look at ${entry.id}`);
    const cells = [
      entry.id, entry.name, entry.email, entry.scopes?.join(', ') ?? 'all', time(entry.lastUsedAt), time(entry.endAt),
      entry.replacedById,
    ];
    const row = cells.map(cell => element('td', {}, String(cell ?? '')));
    const actions = entry.replacedById ? [look, remove] : [look, rotate, remove];
    return element('tr', entry.endAt !== null && entry.endAt <= now ? {class: 'ended'} : {}, ...row,
      element('td', {}, element('span', {class: 'actions'}, ...actions)));
  }));
}

async function decode(token) {
  $('jwt').value = token;
  await say('of-decoder', async () => {
    const answer = await fetch('/console/token', {method: 'POST', body: token});
    const {good, problem, signed} = await answer.json();
    const verdict = element('p', {class: good ? 'good' : 'bad'}, good ? 'It is good now.' : `It is not good: ${problem}.`);
    return signed ? [verdict, element('pre', {}, JSON.stringify(signed.claims, null, 2))] : verdict;
  });
  $('of-decoder').scrollIntoView({block: 'nearest'});
}

async function showRequests() {
  const requests = await (await fetch('/console/requests')).json();
  // Not under the eyes of who reads one.
  if ($('list-of-requests').querySelector('details[open]')) return;
  showRows('list-of-requests', requests.map(({at, method, path, status, milliseconds, curl}) => element('tr', {},
    element('td', {}, new Date(at * 1000).toLocaleTimeString()),
    element('td', {}, element('code', {}, `${method} ${path}`)),
    element('td', {class: status < 400 ? 'good' : 'bad'}, String(status)),
    element('td', {}, String(milliseconds)),
    element('td', {}, element('details', {}, element('summary', {}, 'curl'), element('pre', {}, curl))),
  )));
}

$('list').addEventListener('click', () => say('of-tokens', async () => (await listTokens(), '')));
$('create').addEventListener('submit', event => {
  event.preventDefault();
  say('of-tokens', async () => {
    const {scopes, ...body} = fields(event.target);
    if (scopes) body.scopes = scopes.split(',').map(scope => scope.trim());
    const {data: [made]} = await call('POST', '/auth/backend', {body});
    await listTokens();
    return ['The new token:', ...shown(made.token)];
  });
});
$('login').addEventListener('submit', event => {
  event.preventDefault();
  say('of-login', async () => {
    const {data} = await call('POST', '/auth/customers', {token: $('token').value.trim(), body: {...fields(event.target), name: 'console'}});
    return ['The storefront token:', ...shown(data.token)];
  });
});
$('decode').addEventListener('submit', event => {
  event.preventDefault();
  decode($('jwt').value);
});

// At once, so that nothing moves under the eyes.
showStack().then(listTokens).catch(error => say('of-tokens', () => { throw error; })).finally(() => {
  document.querySelector('main').hidden = false;
});
setInterval(showRequests, 3000);
