/** The templates as tests see them. */

import { readFileSync } from 'node:fs';
import { Template } from 'aws-cdk-lib/assertions';
import { templates } from '../src/templates.js';

export const texts = templates();

const parsed = (name: string) => JSON.parse(texts[name] ?? '{}');
export const main = parsed('tidemill.json');
export const template = Template.fromJSON(main);
export const artifacts = Template.fromJSON(parsed('artifacts.json'));

/** A committed template, as it is in the repository. */
export const committed = (name: string) => readFileSync(new URL(`../../templates/${name}`, import.meta.url), 'utf8');

/** The properties of a resource. */
export const properties = (id: string) => main.Resources[id].Properties;

export const ref = (id: string) => ({ Ref: id });
export const att = (id: string, name: string) => ({ 'Fn::GetAtt': [id, name] });
export const sub = (text: string) => ({ 'Fn::Sub': text });
/** An ARN of this account and region. */
export const arn = (service: string, rest: string) =>
  sub(`arn:\${AWS::Partition}:${service}:\${AWS::Region}:\${AWS::AccountId}:${rest}`);
/** What depends on a choice and is nothing otherwise. */
export const when = (condition: string, value: unknown, otherwise: unknown = ref('AWS::NoValue')) =>
  ({ 'Fn::If': [condition, value, otherwise] });
