// Filter forms send themselves when a choice changes, and keep empty fields out of the address.
import { $$, on } from './dom.js';

on('change', '[data-auto] select', (event, select) => select.form.requestSubmit());
on('submit', 'form[method="get"]', (event, form) => {
  const empty = $$('input, select', form).filter(field => !field.value);
  for (const field of empty) field.disabled = true;
  // The page may come back from the browser's memory.
  setTimeout(() => { for (const field of empty) field.disabled = false; });
});
