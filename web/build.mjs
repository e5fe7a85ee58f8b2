// Makes web/dist from web/static: one stylesheet, one script, the fonts, with hashes in their names,
// and manifest.json from plain to hashed names. Run by `cargo xtask web`; nothing of it is committed.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const root = import.meta.dirname;
const dist = join(root, 'dist');
mkdirSync(dist, { recursive: true });
for (const name of readdirSync(dist)) if (!name.startsWith('.')) rmSync(join(dist, name), { recursive: true });

const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: ['static/app.js', 'static/app.css'],
  outdir: 'dist',
  entryNames: '[name]-[hash]',
  assetNames: '[name]-[hash]',
  publicPath: '/assets',
  bundle: true,
  minify: true,
  format: 'esm',
  target: ['es2022'],
  supported: { nesting: true },
  loader: { '.woff2': 'file' },
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
});

const manifest = {};
for (const [path, out] of Object.entries(metafile.outputs)) {
  const from = out.entryPoint ?? Object.keys(out.inputs)[0];
  manifest[basename(from)] = basename(path);
}
const add = (name, bytes) => {
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 8).toUpperCase();
  manifest[name] = name.replace(/(\.\w+)$/, `-${hash}$1`);
  writeFileSync(join(dist, manifest[name]), bytes);
};
add('icon.svg', readFileSync(join(root, 'static/icon.svg')));
// The fonts' licence asks to travel with them.
const fonts = ['inter', 'jetbrains-mono'].map(f => readFileSync(join(root, 'node_modules/@fontsource-variable', f, 'LICENSE'), 'utf8'));
add('fonts.txt', fonts.join('\n\n'));
writeFileSync(join(dist, 'manifest.json'), JSON.stringify(manifest, null, 1));

// Text is sent compressed; the server has nothing left to do.
for (const name of Object.values(manifest).filter(name => /\.(css|js|svg|txt)$/.test(name))) {
  const bytes = readFileSync(join(dist, name));
  writeFileSync(join(dist, `${name}.br`), brotliCompressSync(bytes));
  writeFileSync(join(dist, `${name}.gz`), gzipSync(bytes, { level: 9 }));
}

// A release build embeds the files by name: make cargo look again.
const embedder = join(root, '../crates/server/src/assets.rs');
if (existsSync(embedder)) utimesSync(embedder, new Date(), new Date());

for (const name of ['app.css', 'app.js']) {
  const bytes = readFileSync(join(dist, manifest[name]));
  console.log(`${manifest[name]}  ${bytes.length} bytes, ${gzipSync(bytes, { level: 9 }).length} gzip`);
}
