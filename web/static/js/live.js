// One stream per page. Rows change in place; new ones wait behind a link; nothing moves by itself.
import { $, $$, on } from './dom.js';
import { morph } from './morph.js';
import { take } from './swap.js';
import { localise } from './time.js';

const QUIET_MS = 15_000;
let stream, quiet, paused = false, last;
const fresh = new Set();
let unseen = 0;

function state(text, lost = false) {
  for (const element of $$('[data-live-switch], [data-live-state]')) {
    if (element.textContent !== text) element.textContent = text;
    element.classList.toggle('lost', lost);
    element.classList.remove('idle');
  }
}
function heard() {
  last = new Date();
  state('Live');
  clearTimeout(quiet);
  quiet = setTimeout(lost, QUIET_MS);
}
function lost() {
  clearTimeout(quiet);
  state(`Not live. ${last ? `Last update ${last.toTimeString().slice(0, 8)}. ` : ''}Reconnecting.`, true);
  if (stream?.readyState === EventSource.CLOSED) quiet = setTimeout(connect, QUIET_MS);
}

// The run page: fetch what is shown again, at most about once a second.
let waiting = false;
function changed() {
  if (waiting) return;
  waiting = true;
  setTimeout(async () => {
    await take(location.href);
    waiting = false;
    if (!$('[data-stream]')) disconnect();
  }, 700);
}

// The run list.
function row(table, { id, row: html, new: isNew }) {
  const shown = document.getElementById(id);
  if (shown && html) {
    const part = document.createElement('template');
    part.innerHTML = html;
    const next = part.content.querySelector('tr');
    localise(next);
    morph(shown, next);
  } else if (isNew && !fresh.has(id)) {
    fresh.add(id);
    more(table);
  }
}
function more(table) {
  const link = $('[data-new]');
  const n = fresh.size + unseen;
  if (!link || table.hasAttribute('data-later') || !n) return;
  link.textContent = n === 1 ? '1 new run. Show it' : `${n} new runs. Show them`;
  link.hidden = false;
}

function connect() {
  const place = $('[data-stream]');
  if (!place || paused || document.hidden) return;
  disconnect();
  stream = new EventSource(place.dataset.stream);
  stream.onopen = heard;
  stream.onerror = lost;
  const hear = (name, fn) => stream.addEventListener(name, event => { heard(); fn?.(event.data ? JSON.parse(event.data) : {}); });
  hear('ping');
  hear('changed', changed);
  hear('run', data => row(place, data));
  hear('new', data => { unseen += data.count ?? 1; more(place); });
}
function disconnect() {
  clearTimeout(quiet);
  stream?.close();
}

on('click', '[data-live-switch]', (event, button) => {
  paused = !paused;
  button.setAttribute('aria-pressed', !paused);
  if (paused) { disconnect(); state('Paused'); } else connect();
});
// A list without rows has nothing to keep live.
if (!$('[data-stream]')) for (const element of $$('[data-live-switch]')) element.hidden = true;
// Browsers open six connections to one place: a tab nobody sees must not hold one. Coming back, the server
// tells everything the page shows anew.
document.addEventListener('visibilitychange', () => { if (document.hidden) disconnect(); else connect(); });
addEventListener('pagehide', disconnect);
addEventListener('pageshow', event => { if (event.persisted) connect(); });
connect();
