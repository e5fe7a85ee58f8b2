// Steps and tabs of the run page without a page load: the same address, fetched, and only what differs
// is replaced. Also used by live updates.
import { $, announce, narrow, on } from './dom.js';
import { findAgain } from './data.js';
import { morph } from './morph.js';
import { localise, setClock } from './time.js';

let latest = 0;
/** Fetches the page at `url` and takes over its `#run`. False if that was not possible. */
export async function take(url) {
  const mine = ++latest;
  const answer = await fetch(url, { headers: { Accept: 'text/html' } }).catch(() => null);
  if (!answer?.ok || answer.redirected) return false;
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const fresh = $('#run', page);
  const shown = $('#run');
  if (mine !== latest) return true;
  if (!fresh || !shown) return false;
  setClock(page.documentElement.dataset.now);
  localise(fresh);
  const before = $('h1 .st', shown).textContent;
  morph(shown, fresh);
  document.title = page.title;
  const after = $('h1 .st', shown).textContent;
  if (before !== after) announce(`Run ${after.toLowerCase()}.`);
  findAgain();
  return true;
}

on('click', 'a[data-swap]', async (event, link) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button) return;
  event.preventDefault();
  const url = new URL(link.href);
  url.hash = '';
  if (!await take(url)) { location.href = link.href; return; }
  history.pushState(null, '', url);
  if (link.matches('.wf-row') && narrow(1180)) $('#inspector')?.scrollIntoView({ block: 'start' });
});
addEventListener('popstate', async () => { if ($('#run') && !await take(location.href)) location.reload(); });
