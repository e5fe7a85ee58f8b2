// The few helpers everything uses.
export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/** Calls `fn(event, element)` for events inside an element that matches, now or later. */
export const on = (type, selector, fn) => document.addEventListener(type, event => {
  const element = event.target.closest?.(selector);
  if (element) fn(event, element);
});

export const typing = event => /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.target.isContentEditable;
export const narrow = width => matchMedia(`(max-width: ${width}px)`).matches;

const announced = { at: 0 };
/** Shows and announces a message: at most two at once, 8 seconds, longer under the pointer. */
export function toast(text) {
  const box = $('.toasts');
  const el = document.createElement('div');
  el.className = 'toast';
  el.textContent = text;
  while (box.children.length > 1) box.firstChild.remove();
  box.append(el);
  let timer = setTimeout(() => el.remove(), 8000);
  el.onmouseenter = () => clearTimeout(timer);
  el.onmouseleave = () => { timer = setTimeout(() => el.remove(), 3000); };
}
/** A toast that comes by itself: at most one every 10 seconds. */
export function announce(text) {
  if (Date.now() - announced.at < 10_000) return;
  announced.at = Date.now();
  toast(text);
}

export const setCookie = (name, value) => {
  document.cookie = `${name}=${encodeURIComponent(value)}; Path=/; Max-Age=31536000; SameSite=Lax`;
};
