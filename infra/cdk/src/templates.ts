/** Both templates as text, checked by cdk-nag. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { ArtifactsStack } from './artifacts.js';
import { TidemillStack } from './stack.js';

/** File name → text. Throws when cdk-nag finds something that nobody has explained. */
export function templates(): Record<string, string> {
  const outdir = mkdtempSync(join(tmpdir(), 'tidemill-cdk-'));
  try {
    const app = new App({ outdir, analyticsReporting: false, treeMetadata: false });
    const stacks = { 'tidemill.json': new TidemillStack(app, 'tidemill'), 'artifacts.json': new ArtifactsStack(app, 'artifacts') };
    Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
    app.synth();
    const read = (name: string) => JSON.parse(readFileSync(join(outdir, name), 'utf8'));
    return Object.fromEntries(
      Object.entries(stacks).map(([name, stack]) => [name, `${JSON.stringify(read(stack.templateFile), null, 1)}\n`]),
    );
  } finally {
    rmSync(outdir, { recursive: true, force: true });
  }
}
