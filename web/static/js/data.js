// The data viewer: find by name or value, Enter for the next place, Shift Enter for the one before.
import { $, $$, on } from './dom.js';

let at = 0;
function find(field, step = 0) {
  const q = field.value.toLowerCase();
  const hits = [];
  for (const line of $$('.json .l')) {
    const hit = q !== '' && line.firstElementChild.textContent.toLowerCase().includes(q);
    line.classList.toggle('hit', hit);
    line.classList.remove('at');
    if (hit) hits.push(line);
  }
  at = step ? (at + step + hits.length) % Math.max(1, hits.length) : 0;
  hits[at]?.classList.add('at');
  hits[at]?.scrollIntoView({ block: 'nearest' });
  const found = $('[data-found]');
  if (found) found.textContent = q === '' ? '' : hits.length ? `${at + 1} of ${hits.length}` : 'Nothing';
}
on('input', '[data-json-find]', (event, field) => find(field));
on('keydown', '[data-json-find]', (event, field) => {
  if (event.key === 'Enter') { event.preventDefault(); find(field, event.shiftKey ? -1 : 1); }
});
/** Marks again after the lines were replaced. */
export const findAgain = () => { const field = $('[data-json-find]'); if (field?.value) find(field); };
