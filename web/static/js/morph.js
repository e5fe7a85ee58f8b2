// Changes one tree into another and keeps every node that stays, so that focus, scrolling, open
// details and typed text stay too.

/** Makes `from` look like `to`. Children are matched by id, else by place and name. */
export function morph(from, to) {
  if (from.isEqualNode(to)) return;
  if (from.nodeType !== 1) { from.nodeValue = to.nodeValue; return; }
  attributes(from, to);
  // What a person types is never replaced.
  if (/^(TEXTAREA|SELECT)$/.test(from.nodeName)) return;
  children(from, to);
}

function attributes(from, to) {
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !own(from, name)) from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value && !own(from, name)) from.setAttribute(name, value);
  }
}
const own = (element, name) => (name === 'open' && element.nodeName === 'DETAILS') || name === 'data-sent';

const alike = (a, b) => a && a.nodeType === b.nodeType && a.nodeName === b.nodeName && !a.id && !b.id;

function children(from, to) {
  const known = new Map([...from.children].filter(child => child.id).map(child => [child.id, child]));
  const coming = new Set([...to.children].map(child => child.id).filter(Boolean));
  let at = from.firstChild;
  for (const next of [...to.childNodes]) {
    // Nodes that are gone make room at once, so that those after them need not move.
    while (at?.id && !coming.has(at.id)) { const gone = at; at = at.nextSibling; gone.remove(); }
    const same = (next.id && known.get(next.id)) || (alike(at, next) ? at : null);
    if (!same || same.nodeName !== next.nodeName) { from.insertBefore(document.importNode(next, true), at); continue; }
    if (same === at) at = at.nextSibling; else from.insertBefore(same, at);
    morph(same, next);
  }
  while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
}
