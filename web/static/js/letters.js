// Dead letters: ticks with a count, and progress that moves by itself.
import { $, $$, on } from './dom.js';
import { morph } from './morph.js';
import { localise, setClock } from './time.js';

const bar = $('[data-bulk]');
function count() {
  const boxes = $$('[data-pick]');
  const ticked = boxes.filter(box => box.checked).length;
  for (const box of boxes) box.closest('tr').classList.toggle('sel', box.checked);
  for (const button of $$('button', bar)) button.disabled = !ticked;
  $('[data-bulk-n]', bar).textContent = ticked ? `${ticked} selected` : 'None selected';
  const all = $('[data-pick-all]');
  all.checked = ticked === boxes.length;
  all.indeterminate = ticked > 0 && ticked < boxes.length;
}
if (bar) {
  on('change', '[data-pick]', count);
  on('change', '[data-pick-all]', (event, all) => {
    for (const box of $$('[data-pick]')) box.checked = all.checked;
    count();
  });
  addEventListener('pageshow', count);
}

const EVERY = 1000;
async function poll() {
  const shown = $('#operation[data-poll]');
  if (!shown) return;
  const answer = document.hidden ? null : await fetch(location.href, { headers: { Accept: 'text/html' } }).catch(() => null);
  if (answer?.ok && !answer.redirected) {
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const fresh = $('#operation', page);
    if (fresh) {
      setClock(page.documentElement.dataset.now);
      localise(fresh);
      morph(shown, fresh);
    }
  }
  setTimeout(poll, EVERY);
}
setTimeout(poll, EVERY);
