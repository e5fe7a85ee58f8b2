const zlib = require('node:zlib');
const threads = require('node:worker_threads');
// The HTTP library of jsforce wants these, which Node 20 has not: two are only looked for, the third is a short form.
zlib.createZstdDecompress ??= zlib.createBrotliDecompress;
threads.markAsUncloneable ??= () => {};
Promise.withResolvers ??= () => {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};
