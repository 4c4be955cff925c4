/**
 * Synthesises the templates.
 *
 * In: nothing, or a folder to write to. Out: `tidemill.json` and `artifacts.json` there, and cdk-nag's findings as an
 * error. Nothing depends on an account, a region, the time or the machine.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { templates } from './templates.js';

const folder = process.argv[2] ?? 'templates';
mkdirSync(folder, { recursive: true });
for (const [name, text] of Object.entries(templates())) {
  writeFileSync(join(folder, name), text);
}
