// Keeps the page up to date. Without it the page works all the same.
(() => {
  'use strict';
  let running = false;
  const busy = () => {
    const at = document.activeElement;
    return at && (at.closest('form.stack') || at.closest('details[open]')) &&
      ['INPUT', 'TEXTAREA', 'SELECT'].includes(at.tagName);
  };
  const refresh = async () => {
    // Nobody's half-written words are thrown away.
    const written = [...document.querySelectorAll('textarea, input:not([type=hidden])')].some((f) => f.value !== f.defaultValue);
    if (running || busy() || written) return;
    running = true;
    try {
      const reply = await fetch(location.href, { headers: { accept: '*/*' }, credentials: 'same-origin' });
      if (!reply.ok || reply.redirected) return;
      const page = new DOMParser().parseFromString(await reply.text(), 'text/html');
      const [from, to] = [page.querySelector('main'), document.querySelector('main')];
      if (from && to) to.replaceChildren(...from.childNodes);
      document.title = page.title;
    } catch { /* the next change tries again */ } finally { running = false; }
  };
  if (document.querySelector('.login')) return;
  const source = new EventSource('/changes');
  source.addEventListener('change', refresh);
  // What happened while the stream was away.
  source.addEventListener('open', refresh);
  setInterval(refresh, 30000);
})();
