// Liaison's script. Every page works as plain HTML without it; it only makes them quicker and live.
import './js/shell.js';
import './js/time.js';
import './js/keys.js';
import './js/find.js';
import './js/lists.js';
import './js/letters.js';
import './js/data.js';
import './js/swap.js';
import './js/live.js';

document.documentElement.classList.add('js');
