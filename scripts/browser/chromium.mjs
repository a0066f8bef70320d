// A browser, driven over the DevTools protocol by a pipe: nothing to install but Chromium itself.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// How long the browser has for a call, and a page for a condition.
const LIMIT = 20_000;
const POLL = 25;

/** Starts a browser without a window. `close` ends it. */
export async function launch(program) {
  const profile = mkdtempSync(join(tmpdir(), 'browser-'));
  const flags = ['--headless=new', '--remote-debugging-pipe', `--user-data-dir=${profile}`, '--no-first-run',
    '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', '--hide-scrollbars'];
  // Chromium's own sandbox does not work for root; what it shows here is our own.
  if (process.getuid() === 0) flags.push('--no-sandbox');
  const process_ = spawn(program, flags, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const exited = new Promise((done) => process_.once('exit', done));
  const [, , , to, from] = process_.stdio;

  const waiting = new Map();
  const listeners = new Set();
  let [last, rest] = [0, ''];
  from.setEncoding('utf8').on('data', (chunk) => {
    const messages = (rest + chunk).split('\0');
    rest = messages.pop();
    for (const message of messages.map((text) => JSON.parse(text))) {
      if (message.id === undefined) for (const listen of listeners) listen(message);
      else waiting.get(message.id)?.(message);
    }
  });
  const call = (method, params = {}, sessionId) => new Promise((done, fail) => {
    const id = ++last;
    const late = setTimeout(() => fail(new Error(`${method}: no answer within ${LIMIT} ms`)), LIMIT);
    waiting.set(id, ({ result, error }) => {
      clearTimeout(late);
      waiting.delete(id);
      if (error) fail(new Error(`${method}: ${error.message}`));
      else done(result);
    });
    to.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
  });

  const close = async () => {
    // Its own way out ends its helpers as well, which would go on writing into the profile.
    await call('Browser.close').catch(() => process_.kill('SIGKILL'));
    await exited;
    rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  };
  const open = async () => {
    const { targetId } = await call('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await call('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page((method, params) => call(method, params, sessionId));
    listeners.add((message) => message.sessionId === sessionId && page.heard(message));
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await page.call(`${domain}.enable`);
    return page;
  };
  return { open, close };
}

class Page {
  /** What the page complained of: exceptions, what its policy refused, resources that did not load. */
  complaints = [];

  constructor(call) {
    this.call = call;
  }

  heard({ method, params }) {
    if (method === 'Runtime.exceptionThrown') this.complaints.push(params.exceptionDetails.exception?.description);
    if (method === 'Log.entryAdded' && params.entry.level === 'error') {
      this.complaints.push(`${params.entry.text} ${params.entry.url ?? ''}`);
    }
  }

  /** Calls a function in the page, with values as its arguments. */
  async evaluate(code, ...values) {
    const expression = `(${code})(${values.map((value) => JSON.stringify(value)).join(', ')})`;
    const reply = await this.call('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    const { exceptionDetails, result } = reply;
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Waits until a function returns something true in the page, and returns that. */
  async until(what, code, ...values) {
    const end = Date.now() + LIMIT;
    for (;;) {
      // A page that is just being left has nothing to say.
      const found = await this.evaluate(code, ...values).catch((error) => void (this.last = error));
      if (found) return found;
      if (Date.now() > end) throw new Error(`not within ${LIMIT} ms: ${what}; the page says:\n${await this.text()}\n${this.last ?? ''}`);
      await new Promise((done) => setTimeout(done, POLL));
    }
  }

  text() {
    return this.evaluate(() => `${location.href}\n${document.body.innerText}`);
  }

  /** Does what leads to another page, and waits for it. */
  async leave(action) {
    await this.evaluate(() => { window.left = false; });
    await action();
    await this.until('another page', () => window.left === undefined && document.readyState === 'complete');
  }

  goto(url) {
    return this.leave(() => this.call('Page.navigate', { url }));
  }

  /** Clicks in the middle of what is there, as a hand does: what covers it gets the click. */
  async click(selector) {
    const at = await this.until(selector, (selector) => {
      const element = document.querySelector(selector);
      if (!element) return null;
      element.scrollIntoView({ block: 'center', behavior: 'instant' });
      const { x, y, width, height } = element.getBoundingClientRect();
      return width && height && { x: x + width / 2, y: y + height / 2 };
    }, selector);
    for (const type of ['mousePressed', 'mouseReleased']) {
      await this.call('Input.dispatchMouseEvent', { type, ...at, button: 'left', clickCount: 1 });
    }
  }

  async press(key, code = key, text = undefined) {
    const windowsVirtualKeyCode = { Tab: 9, Enter: 13, ' ': 32 }[key];
    await this.call('Input.dispatchKeyEvent', { type: 'keyDown', key, code, windowsVirtualKeyCode, text });
    await this.call('Input.dispatchKeyEvent', { type: 'keyUp', key, code, windowsVirtualKeyCode });
  }

  /** Types where the cursor is. */
  async type(text) {
    await this.call('Input.insertText', { text });
  }

  async fill(selector, text) {
    await this.click(selector);
    await this.until(`${selector} has the cursor`, (selector) => document.activeElement?.matches(selector), selector);
    await this.type(text);
  }

  /** How it is shown. */
  async show({ width, height, scheme }) {
    const mobile = width < 600;
    await this.call('Emulation.setDeviceMetricsOverride', { width, height, mobile, deviceScaleFactor: 1 });
    const features = [
      { name: 'prefers-color-scheme', value: scheme },
      { name: 'prefers-reduced-motion', value: 'reduce' },
    ];
    await this.call('Emulation.setEmulatedMedia', { features });
  }

  async picture(path) {
    const size = await this.evaluate(() => ({ width: innerWidth, height: document.documentElement.scrollHeight }));
    const clip = { x: 0, y: 0, ...size, scale: 1 };
    const { data } = await this.call('Page.captureScreenshot', { captureBeyondViewport: true, clip });
    writeFileSync(path, Buffer.from(data, 'base64'));
  }
}
