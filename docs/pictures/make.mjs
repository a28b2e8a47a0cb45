// Makes the pictures beside it: starts `target/debug/local`, does with it what they show, and writes what the programs print.
// With `--check` it writes nothing, and fails where a terminal's text is no longer the one that is here. `.ci/npm browser e2e/browser` comes first.

import assert from 'node:assert/strict';
import {spawn, spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = join(here, '../..');
const {chromium} = createRequire(join(root, 'target/browser/'))('playwright-core');
const isCheck = process.argv[2] === '--check';
const folder = mkdtempSync(join(tmpdir(), 'pictures-'));
const pictures = isCheck ? folder : here;

/** What is run in each terminal, one after the other. */
const TERMINALS = {
  doctor: ['b2b-auth --local doctor'],
  import: [
    'cat customers.csv',
    'b2b-auth --local customer import customers.csv --store demostore --dry-run',
    "sed -i 's/,short$/,many more words than that/' customers.csv",
    'b2b-auth --local customer import customers.csv --store demostore',
  ],
};
const CUSTOMERS = `\
customer_id,email,channels,active,password
8,anna@example.com,1;2,true,a different ten words
9,bob@example.com,,,short
10,carla@example.com,2,true,correct horse battery
`;

/** What differs each time, or is said by a slow machine alone. */
const DIFFERS = [/\nWaiting\sfor.*/g, /"time":"[^"]*"/g, /b2b-auth-doctor-\w+/g, /[\d.]+\sseconds?/g, /\d+\sa\ssecond/g];

// What `b2b-auth --local` means is on the default ports, and a check is to be in nobody's way.
const [port, awsPort] = isCheck ? [0, 0] : [3000, 8000];
const local = spawn(join(root, 'target/debug/local'), ['--port', port, '--aws-port', awsPort], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
try {
  let greeting = '';
  for await (const part of local.stdout.setEncoding('utf8').iterator({destroyOnReturn: false})) {
    greeting += part;
    if (greeting.includes('Ctrl-C')) break;
  }
  // What it logs from here on.
  local.stdout.resume();
  const api = greeting.match(/^ *API +(.*)$/m)?.[1];
  const aws = greeting.match(/^ *DynamoDB and Secrets Manager +(.*)$/m)?.[1];
  assert(api && aws, 'target/debug/local did not start');
  writeFileSync(join(folder, 'customers.csv'), CUSTOMERS);
  await photographConsole(api);
  for (const [name, commands] of Object.entries(TERMINALS)) {
    const lines = commands.flatMap(command => [`$ ${command}`, ...run(command, api, aws)]);
    keep(`${name}.svg`, terminal(lines));
  }
} finally {
  local.kill();
  rmSync(folder, {recursive: true});
}

/** The lines that a command prints. */
function run(command, api, aws) {
  const asRun = isCheck ? command.replace('--local', `--local --aws-endpoint ${aws} --api-url ${api}`) : command;
  const environment = {...process.env, PATH: `${root}/target/debug:${process.env.PATH}`, USER: 'olga'};
  const {stdout} = spawnSync('sh', ['-c', `{ ${asRun}; } 2>&1`], {cwd: folder, env: environment, encoding: 'utf8'});
  const text = stdout.replaceAll(api, 'http://127.0.0.1:3000/api/io').replaceAll(aws, 'http://127.0.0.1:8000');
  return text.split('\n').slice(0, -1);
}

/** A terminal with these lines, as SVG. It loads nothing: the fonts are those of whoever looks at it. */
function terminal(lines) {
  const [columns, x, y, width, height] = [110, 16, 30, 8.4, 20];
  // Of several spaces SVG shows one, unless they are such as keep together.
  const escaped = text =>
    text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll(' ', '\u00a0');
  let row = 0;
  const texts = lines.map(line => {
    // Other fonts are made as wide as this one, so that columns stay columns.
    const pieces = (line.match(new RegExp(`.{1,${columns}}`, 'gu')) ?? ['']).map(piece => {
      const length = (width * [...piece].length).toFixed(1);
      return `<tspan x="${x}" y="${y + height * row++}" textLength="${length}">${escaped(piece)}</tspan>`;
    });
    return `<text${line.startsWith('$ ') ? ' class="typed"' : ''}>${pieces.join('')}</text>`;
  });
  return `\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${columns * width + 2 * x} ${y + height * row}">
<style>
rect { fill: #161b22; stroke: #57606a; }
text { fill: #e6edf3; font: 14px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; }
.typed { fill: #7ee787; }
</style>
<rect x=".5" y=".5" width="${columns * width + 2 * x - 1}" height="${y + height * row - 1}" rx="6"/>
${texts.join('\n')}
</svg>
`;
}

/** Writes a terminal, or compares it with the one that is here. */
function keep(name, svg) {
  const file = join(here, name);
  if (!isCheck) return writeFileSync(file, svg);
  const same = text => DIFFERS.reduce((text, part) => text.replace(part, ''), text.replace(/<[^>]*>/g, '')).split('\n');
  assert.deepEqual(same(svg), same(readFileSync(file, 'utf8')), `${name} is no longer what is printed: make pictures`);
  console.log(`docs/pictures/${name}: as it is printed`);
}

/** The console, with the tokens of a few integrations. */
async function photographConsole(api) {
  const call = async (path, body, headers = {}) => {
    const answer = await fetch(api + path, {
      method: 'POST', headers: {'Content-Type': 'application/json', ...headers}, body: JSON.stringify(body),
    });
    const {code, data} = await answer.json();
    assert.equal(code, 200, data.errMsg);
    return data[0];
  };
  const maker = {storeHash: 'demostore', email: 'admin@example.com', password: 'demo-admin-password'};
  await call('/auth/backend', {...maker, name: 'reports', scopes: ['tokens:read']});
  await call('/auth/backend', {...maker, name: 'spring sale', endAt: Date.UTC(2031, 4, 1) / 1000});
  const {token} = await call('/auth/backend', {...maker, name: 'ERP'});
  await call('/auth/backend/rotate', {id: 4, overlapSeconds: 86_400}, {authToken: token});

  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-background-networking'],
  });
  try {
    const page = await browser.newPage({viewport: {width: 1200, height: 900}, locale: 'en-GB', timezoneId: 'UTC'});
    await page.goto(api.replace('/api/io', '/'));
    await page.getByText('5 tokens').waitFor();
    const {y} = await page.getByRole('group', {name: 'Create one'}).boundingBox();
    for (const [colorScheme, file] of [['light', 'console.png'], ['dark', 'console-dark.png']]) {
      await page.emulateMedia({colorScheme});
      const clip = {x: 0, y: 0, width: 1200, height: Math.floor(y)};
      await page.screenshot({path: join(pictures, file), fullPage: true, clip});
    }
  } finally {
    await browser.close();
  }
}
