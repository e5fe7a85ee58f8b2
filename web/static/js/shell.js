// Theme, the drawer on phones, dialogs, copying, forms that must not be sent twice.
import { $, narrow, on, setCookie, toast } from './dom.js';

const root = document.documentElement;
on('submit', '[data-theme-form]', event => {
  event.preventDefault();
  const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  const next = (root.dataset.theme ?? system) === 'dark' ? 'light' : 'dark';
  root.dataset.theme = next;
  setCookie('theme', next);
});

const side = $('#side');
const opener = $('[data-nav-open]');
export function drawer(open) {
  if (!side || side.classList.contains('open') === open) return;
  side.classList.toggle('open', open);
  opener.setAttribute('aria-expanded', open);
  $('.scrim')?.remove();
  if (open) {
    const scrim = Object.assign(document.createElement('button'), { className: 'scrim', type: 'button', ariaLabel: 'Close menu' });
    scrim.onclick = () => drawer(false);
    side.after(scrim);
    $('.nav a', side).focus();
  } else opener.focus();
}
opener?.setAttribute('role', 'button');
opener?.setAttribute('aria-expanded', 'false');
on('click', '[data-nav-open]', event => { event.preventDefault(); drawer(true); });
on('click', '[data-nav-close]', event => { event.preventDefault(); drawer(false); });
document.addEventListener('keydown', event => {
  if (event.key === 'Escape' && side?.classList.contains('open')) drawer(false);
  if (event.key === ' ' && event.target === opener) { event.preventDefault(); drawer(true); }
});
document.addEventListener('focusin', event => {
  if (narrow(860) && side?.classList.contains('open') && !side.contains(event.target) && !event.target.matches('.scrim')) $('.nav a', side).focus();
});

on('click', '[data-close]', (event, button) => button.closest('dialog').close());
on('click', 'dialog', (event, dialog) => { if (event.target === dialog) dialog.close(); });

const short = text => (text.length > 60 ? `${text.slice(0, 60)}…` : text);
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`Copied ${short(text)}`);
  } catch {
    toast('The browser did not allow copying. Mark the text and copy it by hand.');
  }
}
on('click', '[data-copy]', (event, button) => copy(button.dataset.copy));
on('click', '[data-copy-url]', async (event, button) => {
  const answer = await fetch(button.dataset.copyUrl).catch(() => null);
  if (answer?.ok) copy(await answer.text());
  else toast('The data could not be loaded. Try again.');
});

// A second press while the answer is on its way does nothing.
on('submit', 'form[method="post"]:not([data-theme-form])', (event, form) => {
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = '1';
});
addEventListener('pageshow', () => { for (const form of document.forms) delete form.dataset.sent; });
