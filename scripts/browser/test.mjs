// The status page and the console in a real browser, as people use them. crates/stack/tests/it/browser.rs
// runs it, and gives it a running system:
//   SITE, WEBHOOK_TOKEN, OPERATOR_TOKEN, EMAIL, PASSWORD, CHROMIUM, AXE (what scripts/axe prints, or nothing), PICTURES (a directory).
// STOP_AUTH and START_AUTH are commands, for what is seen while nobody can sign in.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { launch } from './chromium.mjs';

const { SITE, WEBHOOK_TOKEN, OPERATOR_TOKEN, EMAIL, PASSWORD, CHROMIUM, AXE, PICTURES } = process.env;
const axe = AXE && readFileSync(AXE, 'utf8');
const HOSTILE = '<script>document.title = "owned"</script>';
const VIEWS = [
  { view: 'light', scheme: 'light', width: 1200, height: 900 },
  { view: 'dark', scheme: 'dark', width: 1200, height: 900 },
  { view: 'phone-light', scheme: 'light', width: 390, height: 844 },
  { view: 'phone-dark', scheme: 'dark', width: 390, height: 844 },
];

const browser = await launch(CHROMIUM);
const page = await browser.open();
await page.show(VIEWS[0]);

/** Alertmanager's part: one alert fires, or is over. */
async function alert(status, cause, severity) {
  const alerts = [{
    status,
    fingerprint: cause,
    startsAt: new Date(begun).toISOString(),
    endsAt: status === 'resolved' ? new Date().toISOString() : '0001-01-01T00:00:00Z',
    labels: { alertname: 'HighErrorRate', service: 'points', severity, cause },
    annotations: { summary: `points fails, ${cause} ${HOSTILE}` },
  }];
  const headers = { authorization: `Bearer ${WEBHOOK_TOKEN}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ version: '4', alerts });
  const reply = await fetch(`${SITE}/v1/alerts`, { method: 'POST', headers, body });
  assert.equal(reply.status, 200, await reply.text());
}
const begun = Date.now();

/** An operator's part: Prometheus does not know our alerts, so somebody has to vouch for them. */
async function vouch(cause, severity) {
  const headers = { authorization: `Bearer ${OPERATOR_TOKEN}`, 'content-type': 'application/json' };
  const found = await fetch(`${SITE}/v1/incidents?verified=false&status=open`, { headers });
  const { incident_id: id } = (await found.json()).items.find(({ title }) => title.includes(cause));
  const body = JSON.stringify({ severity, reason: 'Seen with our own eyes' });
  const sent = { method: 'POST', headers: { ...headers, 'idempotency-key': `vouch ${cause} ${begun}` }, body };
  const reply = await fetch(`${SITE}/v1/incidents/${id}/severity`, sent);
  assert.equal(reply.status, 200, await reply.text());
}

const headline = (text) =>
  page.until(`the headline ${text}`, (text) => document.querySelector('h1')?.textContent.trim() === text, text);
const shows = (text) => page.until(`“${text}”`, (text) => document.body.innerText.includes(text), text);
const at = (path) => page.until(`the page ${path}`, (path) => location.pathname === path, path);

/** Looks at the page in every view: nothing keeps people from using it, and nothing is too wide for it. */
async function look(name) {
  for (const view of VIEWS) {
    const where = `${name}, ${view.view}`;
    await page.show(view);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${where}: ${wide} px too wide`);
    if (PICTURES) await page.picture(join(PICTURES, `${name}-${view.view}.png`));
    if (axe) await accessible(where);
  }
  await page.show(VIEWS[0]);
}

async function accessible(where) {
  await page.evaluate(`() => { window.axe ?? (() => { ${axe} })(); }`);
  const found = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'] })
    .then(({ violations }) => violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))
      .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html}\n  ${node.failureSummary}`))));
  assert.deepEqual(found, [], where);
}

/** Signs in with the keyboard alone: the cursor is where it is needed. */
async function signIn(password, { email = EMAIL } = {}) {
  await page.until('the cursor', () => document.activeElement?.localName === 'input');
  if (email) {
    await page.type(email);
    await page.press('Tab');
  }
  await page.type(password);
  await page.leave(() => page.press('Enter', 'Enter', '\r'));
}

const story = {
  async 'the status page turns DEGRADED by itself, and back'() {
    await page.goto(`${SITE}/`);
    await headline('OPERATIONAL');
    await look('status-operational');
    await page.evaluate(() => { window.sameDocument = true; });
    await alert('firing', 'live', 'warning');
    await vouch('live', 'P2');
    await headline('DEGRADED');
    await page.until('its title', () => document.title.startsWith('DEGRADED'));
    await page.until('said aloud', () => document.getElementById('spoken').textContent === 'Now DEGRADED');
    await look('status-degraded');
    await alert('resolved', 'live', 'warning');
    await headline('OPERATIONAL');
    assert.equal(await page.evaluate(() => window.sameDocument), true, 'the page was loaded anew');
    // In our own words, and in no alert's.
    assert.match(await page.text(), /points works with limits/);
    assert.doesNotMatch(await page.text(), /live|script/);
    assert.match(await page.text(), /days unknown/);
  },

  async 'what nobody vouches for is on no public page, and a change during a look is seen after it'() {
    await page.goto(`${SITE}/`);
    await headline('OPERATIONAL');
    // The next look takes as long as we like, and another stream says what has happened meanwhile.
    await page.evaluate(() => {
      window.heard = 0;
      new EventSource('/changes').addEventListener('change', () => { window.heard += 1; });
      const look = window.fetch;
      window.fetch = async (...asked) => {
        window.fetch = look;
        const text = await (await look(...asked)).text();
        await new Promise((done) => { window.finishLook = done; });
        return { ok: true, redirected: false, text: async () => text };
      };
    });
    await alert('firing', 'unknown', 'critical');
    await page.until('a look', () => Boolean(window.finishLook));
    const heard = await page.evaluate(() => window.heard);
    await vouch('unknown', 'P2');
    await page.until('the change', (heard) => window.heard > heard, heard);
    await page.evaluate(() => window.finishLook());
    await headline('DEGRADED');
    await alert('resolved', 'unknown', 'critical');
    await headline('OPERATIONAL');
  },

  async 'by keyboard, the content is one step away'() {
    await page.goto(`${SITE}/`);
    await page.press('Tab');
    const first = await page.evaluate(() => {
      const { x, y, width } = document.activeElement.getBoundingClientRect();
      return { text: document.activeElement.textContent, shown: x >= 0 && y >= 0 && width > 0 };
    });
    assert.deepEqual(first, { text: 'Skip to content', shown: true });
    await page.press('Enter', 'Enter', '\r');
    await page.until('the content has the focus', () => document.activeElement.localName === 'main');
  },

  async 'whoever cannot sign in reads why'() {
    await alert('firing', 'worked on', 'critical');
    await vouch('worked on', 'P0');
    await page.goto(`${SITE}/console`);
    await at('/console/login');
    await look('login');
    await signIn('not the password');
    await shows('The e-mail address or the password is wrong.');
    await look('login-wrong');
    if (process.env.STOP_AUTH) {
      command(process.env.STOP_AUTH);
      await signIn(PASSWORD, { email: null });
      await shows('Signing in is not possible right now.');
      await look('login-away');
      command(process.env.START_AUTH);
    }
  },

  async 'an operator signs in, and comes to the page that was asked for'() {
    await page.goto(`${SITE}/console/statistics`);
    await at('/console/login');
    await signIn(PASSWORD);
    await at('/console/statistics');
    await look('statistics');
    await page.leave(() => page.click('nav a[href="/console"]'));
    await headline('Incidents');
    await look('incidents');
  },

  async 'ticks an item of the checklist, and adds an action'() {
    // Whatever else may burn on this machine.
    const mine = await page.evaluate(() => [...document.querySelectorAll('.rows a')]
      .find(({ textContent }) => textContent.includes('worked on')).getAttribute('href'));
    await page.leave(() => page.click(`.rows a[href="${mine}"]`));
    await headline(`points fails, worked on ${HOSTILE}`);
    story.incident = await page.evaluate(() => location.pathname);
    await page.leave(() => page.click('.tick'));
    await page.until('the tick', () => document.querySelector('.tick').getAttribute('aria-pressed') === 'true');
    await page.click('details:has(form[action$="/action"]) > summary');
    await page.fill('form[action$="/action"] [name=text]', `A test that fails without it ${HOSTILE}`);
    await page.fill('form[action$="/action"] [name=assignee]', 'Ada');
    await page.leave(() => page.click('form[action$="/action"] button'));
    await shows('A test that fails without it <script>');
    await look('incident');
  },

  async 'what is half written stays when something happens'() {
    await page.click('details:has(form[action$="/severity"]) > summary');
    await page.fill('form[action$="/comment"] textarea', 'half a sen');
    // Somebody else does something: another window of the same operator.
    const action = await page.evaluate(() => document.querySelector('form[action$="/service"]').action);
    const status = await page.evaluate((action, key) => fetch(action, {
      method: 'POST', body: new URLSearchParams({ key, service: 'booking' }),
    }).then((reply) => reply.status), action, `another window ${begun}`);
    assert.equal(status, 200);
    await shows('booking is affected');
    await page.type('tence');
    const [text, open] = await page.evaluate(() => [
      document.querySelector('form[action$="/comment"] textarea').value,
      document.querySelector('details:has(form[action$="/severity"])').open,
    ]);
    assert.deepEqual([text, open], ['half a sentence', true]);
    await page.leave(() => page.click('form[action$="/comment"] button'));
    await shows('half a sentence');
  },

  async 'writes the postmortem'() {
    await alert('resolved', 'worked on', 'critical');
    await page.until('it is over', () => document.querySelector('.title .pill').textContent === 'resolved');
    await page.leave(() => page.click('a[href$="/postmortem"]'));
    await headline('Postmortem');
    await page.click('.editor textarea');
    await page.evaluate(() => document.querySelector('.editor textarea').setSelectionRange(0, 0));
    await page.type(`What we learned ${HOSTILE}\n`);
    await page.leave(() => page.click('.editor .primary'));
    await shows('Version 1, edited');
    const saved = await page.evaluate(() => document.querySelector('.editor textarea').value);
    assert.ok(saved.startsWith(`What we learned ${HOSTILE}\n# Postmortem: INC-`), saved.slice(0, 200));
    await look('postmortem');
    await page.leave(() => page.click('.editor [name=done][value=true]'));
    await page.leave(() => page.click('.number'));
    await page.until('it is closed', () => document.querySelector('.title .pill').textContent === 'postmortem done');
    await look('incident-over');
  },

  async 'finishes the action, and there is nothing left to do'() {
    await page.leave(() => page.click('nav a[href="/console/actions"]'));
    await look('actions');
    await page.leave(() => page.click('.rows button'));
    await shows('No open actions.');
    await look('actions-none');
  },

  async 'an incident that is not there is a page, in the same look'() {
    await page.goto(`${SITE}/console/incidents/01a1fc30-0000-7000-8000-000000000000`);
    await headline('Not found');
    await look('unknown');
    await page.goto(`${SITE}/nothing`);
    await headline('Page not found');
    await look('no-page');
    await page.leave(() => page.click('main a[href="/"]'));
    await at('/');
  },

  async 'a session that has ended is said, and then gone on with'() {
    await page.goto(SITE + story.incident);
    const { cookies } = await page.call('Network.getCookies', { urls: [`${SITE}/console`] });
    // The session's two, and the one that says that this browser is known.
    assert.deepEqual(cookies.map(({ httpOnly, sameSite, secure }) => [httpOnly, sameSite, secure]),
      Array(3).fill([true, 'Strict', true]));
    for (const { name } of cookies) {
      await page.call('Network.setCookie', { name, value: 'ended', url: `${SITE}/`, path: '/', secure: true });
    }
    await alert('firing', 'meanwhile', 'warning');
    await shows('Your session has ended.');
    await page.goto(SITE + story.incident);
    await shows('Your session has ended. Please sign in again.');
    await look('login-ended');
    await signIn(PASSWORD);
    await at(story.incident);
    await alert('resolved', 'meanwhile', 'warning');
  },

  async 'signs out, and is out'() {
    await page.leave(() => page.click('nav form button'));
    await at('/console/login');
    await page.goto(SITE + story.incident);
    await at('/console/login');
    assert.doesNotMatch(await page.text(), /has ended/);
  },
};

function command(line) {
  execFileSync('/bin/sh', ['-c', line], { stdio: 'ignore' });
}

try {
  for (const [name, chapter] of Object.entries(story)) {
    const from = Date.now();
    try {
      await chapter();
    } catch (error) {
      if (PICTURES) await page.picture(join(PICTURES, 'failed.png')).catch(() => {});
      error.message = `${name}: ${error.message}`;
      throw error;
    }
    console.log(`ok  ${((Date.now() - from) / 1000).toFixed(1).padStart(5)} s  ${name}`);
  }
  // What the story asked for: a wrong password, an auth that is away, an incident that is not there.
  const expected = /status of (401|404|503)/;
  assert.deepEqual(page.complaints.filter((said) => !expected.test(said)), [], 'the browser complained');
  if (!axe) console.log('SKIP  axe-core: nothing was checked for accessibility');
} finally {
  await browser.close();
}
