/**
 * What a deployment may choose. `tidemill deploy` checks the same before it calls AWS; these rules hold for whoever
 * uses the template by other means.
 */

import { CfnCondition, CfnParameter, Fn } from 'aws-cdk-lib';
import type { Construct } from 'constructs';

/** Days that CloudWatch can keep logs. */
const RETENTION_DAYS = [
  '1', '3', '5', '7', '14', '30', '60', '90', '120', '150', '180', '365', '400', '545', '731', '1096', '1827', '2192',
  '2557', '2922', '3288', '3653',
];

export class Parameters {
  readonly architecture: string;
  readonly expressZone: string;
  readonly retentionDays: number;
  readonly budgetUsd: number;
  readonly budgetEmail: string;
  readonly kinesis: string;
  readonly repairAttempts: string;
  readonly codeBucket: string;
  readonly codeKey: string;

  /** Whether there is a directory bucket. */
  readonly hasExpress: CfnCondition;
  /** Whether there is a stream for producers. */
  readonly hasKinesis: CfnCondition;
  /** Whether that stream has a fixed number of shards. */
  readonly hasShards: CfnCondition;
  /** Whether the bill is watched. */
  readonly hasBudget: CfnCondition;
  /** Whether somebody is told. */
  readonly hasEmail: CfnCondition;

  constructor(scope: Construct) {
    const text = (id: string, props: Record<string, unknown>) =>
      new CfnParameter(scope, id, { type: 'String', ...props });
    this.architecture = text('Architecture', {
      default: 'arm64',
      allowedValues: ['arm64', 'x86_64'],
      description: 'Processor of the functions; that of the program in the archive.',
      constraintDescription: 'must be arm64 or x86_64, as the program in the archive was built for.',
    }).valueAsString;
    this.expressZone = text('ExpressZone', {
      default: '',
      allowedPattern: '^$|^[a-z]{2,6}[0-9]{1,2}-az[0-9]{1,2}$',
      maxLength: 12,
      description: 'Id of an availability zone for a fast copy of pages in S3 Express One Zone; empty for none.',
      constraintDescription: 'must be the id of an availability zone, like use1-az4 (not its name, us-east-1a), or empty.',
    }).valueAsString;
    this.retentionDays = new CfnParameter(scope, 'RetentionDays', {
      type: 'Number',
      default: '30',
      allowedValues: RETENTION_DAYS,
      description: 'Days that logs are kept.',
      constraintDescription: `must be a number of days that CloudWatch knows: ${RETENTION_DAYS.join(', ')}.`,
    }).valueAsNumber;
    const budget = text('BudgetUsd', {
      default: '0',
      allowedPattern: '^(0|[1-9][0-9]{0,6})$',
      description: 'US dollars a month that the account is to cost at most; 0 for no budget.',
      constraintDescription: 'must be whole US dollars a month, 0 (no budget) to 9999999.',
    });
    this.budgetUsd = budget.valueAsString as unknown as number;
    this.budgetEmail = text('BudgetEmail', {
      default: '',
      allowedPattern: '^$|^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$',
      maxLength: 320,
      description: 'Who is told when the budget is nearly spent; empty for nobody.',
      constraintDescription: 'must be an e-mail address, or empty.',
    }).valueAsString;
    this.kinesis = text('Kinesis', {
      default: 'off',
      allowedPattern: '^(off|on-demand|[1-9][0-9]{0,2})$',
      description: 'A Kinesis stream for producers: off, on-demand, or a number of shards. It costs by the hour, idle or not.',
      constraintDescription: 'must be off, on-demand, or a number of shards from 1 to 999.',
    }).valueAsString;
    this.repairAttempts = text('RepairAttempts', {
      default: '3',
      allowedPattern: '^([0-9]|10)$',
      description: 'How often a period asks for its missing days before it is published as partial.',
      constraintDescription: 'must be 0 to 10.',
    }).valueAsString;
    this.codeBucket = text('CodeBucket', {
      allowedPattern: '^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$',
      description: 'Bucket that holds the archive of the functions.',
      constraintDescription: 'must be the name of a bucket.',
    }).valueAsString;
    this.codeKey = text('CodeKey', {
      allowedPattern: '^[A-Za-z0-9._/-]{1,512}$',
      description: 'Key of the archive in CodeBucket.',
      constraintDescription: 'must be 1 to 512 of letters, digits and . _ / -',
    }).valueAsString;

    const condition = (id: string, expression: CfnCondition['expression']) =>
      new CfnCondition(scope, id, expression === undefined ? {} : { expression });
    this.hasExpress = condition('HasExpress', Fn.conditionNot(Fn.conditionEquals(this.expressZone, '')));
    this.hasKinesis = condition('HasKinesis', Fn.conditionNot(Fn.conditionEquals(this.kinesis, 'off')));
    this.hasShards = condition(
      'HasShards',
      Fn.conditionAnd(this.hasKinesis, Fn.conditionNot(Fn.conditionEquals(this.kinesis, 'on-demand'))),
    );
    this.hasBudget = condition('HasBudget', Fn.conditionNot(Fn.conditionEquals(budget.valueAsString, '0')));
    this.hasEmail = condition('HasEmail', Fn.conditionNot(Fn.conditionEquals(this.budgetEmail, '')));
  }
}
