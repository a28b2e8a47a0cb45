// Makes the folder `collection` out of openapi.yaml, what `bru import openapi` made of it in `imported`, and steps.yaml.

import assert from 'node:assert/strict';
import {mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {parse, stringify} from 'yaml';

const read = file => parse(readFileSync(new URL(file, import.meta.url), 'utf8'));
const write = (file, content) =>
  writeFileSync(new URL(`collection/${file}`, import.meta.url), stringify(content, {lineWidth: 0}));

const description = read('../../openapi.yaml');
// In one folder, whatever their tags: Bruno runs folder by folder.
const imported = new Map(
  readdirSync(new URL('imported', import.meta.url), {recursive: true})
    .filter(file => file.endsWith('.yml')).map(file => read(`imported/${file}`)).filter(({http}) => http)
    .map(request => [`${request.http.method} ${request.http.url.replace('{{baseUrl}}', '')}`, request]),
);
const steps = read('steps.yaml');

const described = Object.entries(description.paths).flatMap(([path, item]) =>
  Object.keys(item).filter(key => item[key].responses).map(method => `${method.toUpperCase()} ${path}`));
assert.deepEqual(steps.map(({call}) => call).sort(), described.sort(), 'steps.yaml has every operation of openapi.yaml once');

rmSync(new URL('collection', import.meta.url), {recursive: true, force: true});
mkdirSync(new URL('collection/environments', import.meta.url), {recursive: true});

/** The fields with these values; those that have none are there to be switched on. */
function filled(fields = [], values = {}) {
  const names = fields.map(({name}) => name);
  for (const name of Object.keys(values)) assert.ok(names.includes(name), `${name} is none of ${names}`);
  return fields.map(field => (field.name in values ? {...field, value: values[field.name]} : {...field, disabled: true}));
}

function filledBody(body, values) {
  if (body?.type !== 'json') return body && {...body, data: filled(body.data, values)};
  const data = JSON.stringify({...JSON.parse(body.data), ...values}, null, 2);
  // An id is a number also where it comes from a variable.
  return {...body, data: data.replace(/"(\{\{\w+Id\}\})"/g, '$1')};
}

steps.forEach(({call, check = {}, keep = {}, status = 200, ...step}, index) => {
  const [method, path] = call.split(' ');
  const operation = description.paths[path][method.toLowerCase()];
  const {info, http, docs} = imported.get(call);
  // Who is calling is said once, for the whole collection.
  const headers = http.headers?.filter(({name}) => !/^(authToken|X-Auth-Token|X-Store-Hash)$/.test(name));
  const query = Object.entries(step.query ?? {}).map(([name, value]) => `${name}=${value}`).join('&');
  write(`${operation.operationId}.yml`, {
    info: {...info, seq: index + 1},
    http: {
      method,
      url: http.url + (query && `?${query}`),
      headers: filled(headers, step.headers),
      params: filled(http.params, step.query),
      body: filledBody(http.body, step.body),
      auth: operation.security?.length === 0 ? undefined : 'inherit',
    },
    runtime: {
      assertions: Object.entries({'res.status': `eq ${status}`, ...check}).map(([expression, says]) => {
        const [operator, ...value] = says.split(' ');
        return {expression, operator, value: value.join(' ') || undefined};
      }),
      actions: Object.entries(keep).map(([name, expression]) => ({
        type: 'set-variable', phase: 'after-response',
        selector: {expression, method: 'jsonq'}, variable: {name, scope: 'runtime'},
      })),
    },
    docs,
  });
});

write('opencollection.yml', {
  opencollection: '1.0.0',
  info: {name: description.info.title, version: description.info.version},
  request: {auth: {type: 'apikey', key: 'authToken', value: '{{authToken}}', placement: 'header'}},
  docs: {content: description.info.description, type: 'text/markdown'},
});
write('environments/local.yml', {
  name: 'local',
  variables: Object.entries({baseUrl: description.servers[0].url, authToken: '', jwtToken: '', origin: 'https://shop.example'})
    .map(([name, value]) => ({name, value})),
});
