// Bundles src/*.js and three.js into static/viewer.js:  npm ci && npm run build
//
// The first line of the result holds a digest of the sources, so that a test can
// tell a stale bundle without node.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const files = [...readdirSync(here).filter((name) => name.endsWith('.js')), 'package.json', 'package-lock.json'].sort();
const digest = createHash('sha256');
for (const name of files) digest.update(name).update('\0').update(readFileSync(join(here, name))).update('\0');

const licence = readFileSync(join(here, '../static/LICENSE-three.txt'), 'utf8').trim();
await build({
  entryPoints: [join(here, 'viewer.js')],
  outfile: join(here, '../static/viewer.js'),
  bundle: true,
  minify: true,
  format: 'iife',
  target: 'es2020',
  charset: 'ascii',
  legalComments: 'none',
  banner: { js: `/* sources ${digest.digest('hex')} */\n/* This file contains three.js:\n${licence}\n*/` },
});
