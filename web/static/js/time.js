// Times in the person's zone, ages that stay true, durations and bars that grow.
// The words are those of crates/server/src/pages/format.rs.
import { $$, setCookie } from './dom.js';

const root = document.documentElement;
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
let base = { server: +root.dataset.now / 1000, local: performance.now() };

/** Takes over the server's clock from a page that was just fetched. */
export function setClock(now) {
  base = { server: +now / 1000, local: performance.now() };
}
/** The server's clock, in milliseconds. */
const now = () => base.server + performance.now() - base.local;

const format = options => new Intl.DateTimeFormat('en-GB', { timeZone: zone, hourCycle: 'h23', ...options });
const clock = format({ hour: '2-digit', minute: '2-digit', second: '2-digit' });
const dated = format({ day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
const full = format({ weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short' });
const day = format({ year: 'numeric', month: 'numeric', day: 'numeric' });
const parts = (formatter, date) => Object.fromEntries(formatter.formatToParts(date).map(part => [part.type, part.value]));

function show(element) {
  const date = new Date(element.dateTime);
  if (element.dataset.show === 'full') {
    const p = parts(full, date);
    return `${p.weekday} ${p.day} ${p.month}, ${p.hour}:${p.minute}:${p.second} ${p.timeZoneName}`;
  }
  if (day.format(date) === day.format(new Date(now()))) return clock.format(date);
  const p = parts(dated, date);
  return `${p.day} ${p.month}, ${p.hour}:${p.minute}`;
}

function span(ms) {
  const s = Math.floor(ms / 1000), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
  return d > 1 ? `${d} days` : d ? '1 day' : h ? `${h} h` : m ? `${m} min` : `${s} s`;
}
const ago = ms => (ms <= -1000 ? `in ${span(-ms)}` : ms < 1000 ? 'now' : `${span(ms)} ago`);

const two = n => String(n).padStart(2, '0');
function duration(ms) {
  const s = Math.floor(ms / 1000), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
  if (s < 1) return `${Math.max(0, Math.floor(ms))} ms`;
  if (s < 10 && ms % 1000 >= 100) return `${s}.${Math.floor(ms % 1000 / 100)} s`;
  if (m < 1) return `${s} s`;
  if (h < 1) return `${m} m ${two(s % 60)} s`;
  return d < 1 ? `${h} h ${two(m % 60)} m` : `${d} d ${h % 24} h`;
}

const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };

/** Writes all times under `scope` in the person's zone, if the server used another one. */
export function localise(scope = document) {
  if (root.dataset.zone === zone) return;
  for (const element of $$('time[data-show]', scope)) write(element, show(element));
  const name = parts(full, new Date(now())).timeZoneName;
  for (const element of $$('[data-zone-name]', scope)) write(element, name);
}

function tick() {
  for (const element of $$('[data-ago]')) write(element, ago(now() - element.dataset.ago / 1000));
  for (const element of $$('[data-since]')) write(element, duration(now() - element.dataset.since / 1000));
  for (const bar of $$('[data-grow]')) {
    bar.dataset.w ??= parseFloat(bar.style.getPropertyValue('--w'));
    const grown = +bar.dataset.w + bar.dataset.grow * (performance.now() - base.local) / 1000;
    bar.style.setProperty('--w', `${Math.min(grown, 100 - parseFloat(bar.style.getPropertyValue('--x')))}%`);
  }
}

// The server writes the next page in this zone by itself.
if (root.dataset.zone !== zone) setCookie('tz', zone);
localise();
setInterval(tick, 1000);
