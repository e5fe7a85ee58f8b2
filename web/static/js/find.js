// Ctrl K: search runs and recipes, or go to a page of the sidebar.
import { $, $$, on } from './dom.js';

const dialog = $('#find');
const input = $('#find input');
const list = $('#find-list');
let at = 0;
let hits = [];

function draw() {
  const q = input.value.trim();
  const pages = $$('.nav a').map(a => ({ icon: $('use', a).getAttribute('href'), word: a.childNodes[1].textContent.trim(), href: a.href, kind: 'Go to' }));
  const search = q ? [
    { icon: '#i-runs', word: `Runs with “${q}”`, href: `/runs?q=${encodeURIComponent(q)}`, kind: 'Search' },
    { icon: '#i-recipe', word: `Recipes with “${q}”`, href: `/recipes?q=${encodeURIComponent(q)}`, kind: 'Search' },
  ] : [];
  hits = [...pages.filter(page => page.word.toLowerCase().includes(q.toLowerCase())), ...search];
  at = Math.min(at, hits.length - 1);
  list.replaceChildren(...hits.map((hit, place) => {
    const row = document.createElement('div');
    row.setAttribute('role', 'option');
    row.id = `find-${place}`;
    row.setAttribute('aria-selected', place === at);
    row.dataset.href = hit.href;
    const icon = $('svg.i').cloneNode(true);
    $('use', icon).setAttribute('href', hit.icon);
    row.append(icon, hit.word, Object.assign(document.createElement('span'), { className: 'val', textContent: hit.kind }));
    return row;
  }));
  input.setAttribute('aria-activedescendant', `find-${at}`);
  list.children[at]?.scrollIntoView({ block: 'nearest' });
}

function open() {
  if (!dialog || dialog.open) return;
  at = 0;
  input.value = '';
  draw();
  dialog.showModal();
}
on('click', '[data-find]', event => { event.preventDefault(); open(); });
on('click', '#find-list [role=option]', (event, row) => { location.href = row.dataset.href; });
on('submit', '#find form', event => { event.preventDefault(); if (hits[at]) location.href = hits[at].href; });
input?.addEventListener('input', () => { at = 0; draw(); });
input?.addEventListener('keydown', event => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  at = (at + step + hits.length) % hits.length;
  draw();
  event.preventDefault();
});
document.addEventListener('keydown', event => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') { event.preventDefault(); open(); }
});
