// Keeps the page up to date. The page works without it, too.
(() => {
  'use strict';
  const notice = document.getElementById('notice');
  const say = (text) => { if (notice.textContent !== text) notice.textContent = text; };
  const name = (node) => (node.nodeType === 1 && (node.id || node.getAttribute('aria-labelledby'))) || '';
  const alike = (a, b) => a.nodeName === b.nodeName && name(a) === name(b);
  // A half-written form is neither thrown away nor sent after the page has changed.
  const isWritten = (form) => [...form.elements].some((field) =>
    field.localName === 'select' ? [...field.options].some((o) => o.selected && !o.defaultSelected && field === document.activeElement)
      : field.type !== 'hidden' && 'defaultValue' in field && field.value !== field.defaultValue);
  // Turns `old` into `next` and touches only differences, so that focus, scroll and open details stay.
  const become = (old, next) => {
    if (old.nodeType !== 1) {
      if (old.data !== next.data) old.data = next.data;
      return;
    }
    if (old.localName === 'form' && isWritten(old)) return;
    for (const { name: attribute } of [...old.attributes]) {
      if (!next.hasAttribute(attribute) && attribute !== 'open') old.removeAttribute(attribute);
    }
    for (const { name: attribute, value } of [...next.attributes]) {
      if (old.getAttribute(attribute) !== value) old.setAttribute(attribute, value);
    }
    let at = old.firstChild;
    for (const child of [...next.childNodes]) {
      let same = at;
      while (same && !alike(same, child)) same = same.nextSibling;
      if (!same) {
        old.insertBefore(child, at);
        continue;
      }
      while (at !== same) {
        const gone = at;
        at = at.nextSibling;
        gone.remove();
      }
      at = same.nextSibling;
      become(same, child);
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  };
  const overall = () => document.querySelector('.overall h1')?.textContent ?? '';
  let running = false;
  // A change during a reload may be too late for it: then the page reloads again.
  let again = false;
  const refresh = async () => {
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      const reply = await fetch(location.href, { headers: { accept: 'text/html, */*;q=0.8' }, credentials: 'same-origin' });
      if (reply.redirected) return say('Your session has ended. Your text is still here: copy it, then reload to sign in.');
      if (!reply.ok) return say('This page may be out of date: the server does not answer.');
      const page = new DOMParser().parseFromString(await reply.text(), 'text/html');
      const [next, main] = [page.querySelector('main'), document.querySelector('main')];
      if (!next) return;
      const before = overall();
      become(main, next);
      document.title = page.title;
      say('');
      const spoken = document.getElementById('spoken');
      if (before !== overall()) spoken.textContent = `Now ${overall()}`;
    } catch { say('The connection is lost. This page may be out of date.'); } finally {
      running = false;
      if (again) {
        again = false;
        refresh();
      }
    }
  };
  const source = new EventSource('/changes');
  source.addEventListener('change', refresh);
  // Changes while the stream was interrupted.
  source.addEventListener('open', refresh);
  setInterval(refresh, 30000);
})();
