/**
 * What each function may do, as far as its handlers need it and no further: which table, which half of the bucket, and
 * whether it sends requests or arms schedules. Resources are exact; the few wildcards are explained where they stand.
 */

import type { CfnRole } from 'aws-cdk-lib/aws-iam';
import { fastBucketArn, functionArn, named, queueArn, schedulesArn, type Role } from './names.js';
import type { Stores } from './stores.js';

/** What a role may do. */
export interface Grant {
  /** Reads and writes events. */
  events?: boolean;
  /** Reads the change feed: to be called with it, or to see how far it has come. */
  feed?: boolean;
  /** Of the bucket: reading and writing, reading and removing, or all of it. */
  blobs?: 'write' | 'sweep' | 'own';
  /** Sends requests to the engine. */
  sends?: boolean;
  /** Takes requests: the engine's mapping. */
  receives?: boolean;
  /** Looks at requests that failed too often. */
  deadLetters?: boolean;
  /** Arms schedules, or only disarms them. */
  schedules?: 'arm' | 'disarm';
  /** Leaves in the bucket what Lambda gave up on. */
  fails?: boolean;
  /** Reads the stream that producers write to. */
  kinesis?: boolean;
}

/** Why each role has what it has is told by its handlers. */
export const GRANTS: Record<Role, Grant> = {
  // The router: sends events, imports, applies definitions, begins backfills, reads, cleans up.
  api: { events: true, feed: true, blobs: 'own', sends: true, deadLetters: true, schedules: 'arm' },
  // on_events: what is refused goes to quarantine, what was imported is looked up in pages.
  events: { events: true, blobs: 'write', fails: true, kinesis: true },
  // on_changes: running totals; the first event after silence arms the schedules.
  changes: { feed: true, schedules: 'arm', fails: true },
  // on_seal: pages and the manifest.
  seal: { feed: true, blobs: 'write', fails: true },
  // on_tick, on_period, on_repair, on_wave: requests and schedules; on_period sweeps what nothing refers to.
  dispatcher: { blobs: 'sweep', sends: true, schedules: 'arm', fails: true },
  // on_delivery: snapshots, days that are missing, the next wave; how far the feed was sealed.
  engine: { feed: true, blobs: 'write', sends: true, receives: true, schedules: 'arm' },
  // on_upkeep: rewrites pages and removes the replaced ones; disarms itself.
  upkeep: { blobs: 'own', schedules: 'disarm', fails: true },
};

export interface Statement {
  Sid: string;
  Effect: 'Allow';
  Action: string[];
  Resource: unknown;
  Condition?: unknown;
}

const allow = (Sid: string, Action: string[], Resource: unknown, Condition?: unknown): Statement => ({
  Sid,
  Effect: 'Allow',
  Action,
  Resource,
  ...(Condition !== undefined && { Condition }),
});

const ITEM_ACTIONS = [
  'dynamodb:BatchGetItem', 'dynamodb:ConditionCheckItem', 'dynamodb:DeleteItem', 'dynamodb:GetItem', 'dynamodb:PutItem',
  'dynamodb:Query',
];
const BLOB_ACTIONS = {
  write: ['s3:AbortMultipartUpload', 's3:GetObject', 's3:PutObject'],
  sweep: ['s3:DeleteObject', 's3:GetObject'],
  own: ['s3:AbortMultipartUpload', 's3:DeleteObject', 's3:GetObject', 's3:PutObject'],
};

/** Where Lambda leaves what it gave up on: it chooses these keys itself. */
export const FAILED_PREFIX = 'aws/lambda/';

/** Whether a role needs leave of its own to keep what failed. */
export const keepsFailed = (grant: Grant) =>
  grant.fails === true && !(grant.blobs && BLOB_ACTIONS[grant.blobs].includes('s3:PutObject'));

/** The statements of a role. */
export function statements(role: Role, stores: Stores, schedulerRoleArn: string): Statement[] {
  const grant = GRANTS[role];
  const made: Statement[] = [];
  const tables = [stores.items.attrArn, ...(grant.events ? [stores.events.attrArn] : [])];
  made.push(allow('Tables', ITEM_ACTIONS, tables));
  if (grant.feed) {
    const read = ['dynamodb:DescribeStream', 'dynamodb:GetRecords', 'dynamodb:GetShardIterator'];
    made.push(allow('Feed', read, stores.events.attrStreamArn));
    made.push(allow('FeedOfTable', ['dynamodb:DescribeTable'], stores.events.attrArn));
    // DynamoDB takes no resource for this one.
    made.push(allow('Feeds', ['dynamodb:ListStreams'], '*'));
  }
  if (grant.blobs) {
    made.push(allow('Blobs', BLOB_ACTIONS[grant.blobs], `${stores.bucket.attrArn}/*`));
  }
  if (keepsFailed(grant)) {
    made.push(allow('Failed', ['s3:PutObject'], `${stores.bucket.attrArn}/${FAILED_PREFIX}*`));
  }
  if (grant.blobs || grant.fails) {
    // Without it S3 answers that a missing object is forbidden, rather than not there.
    made.push(allow('Bucket', ['s3:ListBucket'], stores.bucket.attrArn));
  }
  if (grant.sends) {
    made.push(allow('Requests', ['sqs:SendMessage'], queueArn('requests')));
  }
  if (grant.receives) {
    const take = ['sqs:ChangeMessageVisibility', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ReceiveMessage'];
    made.push(allow('Deliveries', take, queueArn('requests')));
  }
  if (grant.deadLetters) {
    made.push(allow('DeadLetters', ['sqs:GetQueueAttributes', 'sqs:ReceiveMessage'], queueArn('dead')));
  }
  if (grant.schedules === 'arm') {
    const arm = ['CreateSchedule', 'DeleteSchedule', 'GetSchedule', 'UpdateSchedule'].map((verb) => `scheduler:${verb}`);
    made.push(allow('Schedules', arm, schedulesArn()));
    const scheduler = { StringEquals: { 'iam:PassedToService': 'scheduler.amazonaws.com' } };
    made.push(allow('SchedulerRole', ['iam:PassRole'], schedulerRoleArn, scheduler));
  } else if (grant.schedules === 'disarm') {
    made.push(allow('Schedules', ['scheduler:DeleteSchedule', 'scheduler:GetSchedule'], schedulesArn()));
  }
  return made;
}

/** The policies of a role. What depends on the zone is `fast`'s. */
export function policies(
  role: Role,
  stores: Stores,
  own: { schedulerRoleArn: string; logsArn: string; streamArn: string },
): CfnRole.PolicyProperty[] {
  const made = [allow('Logs', ['logs:CreateLogStream', 'logs:PutLogEvents'], own.logsArn)];
  if (GRANTS[role].kinesis) {
    // The function and its role are there only with the stream.
    const read = ['DescribeStream', 'DescribeStreamSummary', 'GetRecords', 'GetShardIterator', 'ListShards'];
    made.push(allow('Stream', read.map((verb) => `kinesis:${verb}`), own.streamArn));
  }
  return [policy('handler', [...made, ...statements(role, stores, own.schedulerRoleArn)])];
}

/** A session with the directory bucket, for whoever reads or writes blobs. */
export function fast(zone: string): CfnRole.PolicyProperty {
  return policy('fast', [allow('FastBucket', ['s3express:CreateSession'], fastBucketArn(zone))]);
}

/** What Scheduler may do on tidemill's behalf: call two functions. */
export const firing = () =>
  policy('firing', [allow('Fire', ['lambda:InvokeFunction'], [functionArn('dispatcher'), functionArn('upkeep')])]);

const policy = (suffix: string, statement: Statement[]): CfnRole.PolicyProperty => ({
  policyName: named(suffix),
  policyDocument: { Version: '2012-10-17', Statement: statement },
});
