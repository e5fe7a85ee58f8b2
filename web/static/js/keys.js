// Single keys, only while nobody types, and only if they are wanted (WCAG 2.1.4).
import { $, $$, on, typing } from './dom.js';

const GO = { h: '/', e: '/recipes', r: '/runs', c: '/connections' };
const wanted = () => localStorage.getItem('keys') !== 'off';
let g = 0;

export const showKeys = () => $('#keys')?.showModal();
on('click', '[data-keys]', showKeys);
for (const box of $$('[data-keys-on]')) box.checked = wanted();
on('change', '[data-keys-on]', (event, box) => localStorage.setItem('keys', box.checked ? 'on' : 'off'));

document.addEventListener('keydown', event => {
  if (typing(event) || event.ctrlKey || event.metaKey || event.altKey || $('dialog[open]') || !wanted()) return;
  const { key } = event;
  if (Date.now() - g < 1200 && GO[key]) { location.href = GO[key]; return; }
  g = key === 'g' ? Date.now() : 0;
  if (key === '?') showKeys();
  if (key === '/' || key === 'f') {
    const field = $('[data-search]') ?? $('[data-json-find]');
    if (field) { field.focus(); field.select(); event.preventDefault(); }
  }
  if (key === 'j' || key === 'k') {
    const links = $$('[data-row] a.row');
    const at = links.indexOf(document.activeElement?.closest('[data-row]')?.querySelector('a.row'));
    links[Math.max(0, Math.min(links.length - 1, at + (key === 'j' ? 1 : -1)))]?.focus();
  }
});

// Arrows move between the rows of the timeline.
on('keydown', '.wf-row', (event, row) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || event.altKey) return;
  const rows = $$('.wf-row').filter(other => other.offsetParent);
  rows[rows.indexOf(row) + step]?.focus();
  event.preventDefault();
});
