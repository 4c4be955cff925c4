/** What each role may do: every statement, and that no other is wide. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arn, att, main, properties, ref } from './template.js';

interface Statement {
  Sid: string;
  Effect: string;
  Action: string[];
  Resource: unknown;
  Condition?: unknown;
}

const title = (role: string) => role.charAt(0).toUpperCase() + role.slice(1);

/** A role's statements by their ids. */
const statements = (role: string): Record<string, Statement> => {
  const policies = properties(`${title(role)}Role`).Policies as { PolicyDocument: { Statement: Statement[] } }[];
  return Object.fromEntries(policies.flatMap((one) => one.PolicyDocument.Statement).map((one) => [one.Sid, one]));
};

/** Role → the ids of its statements. */
const GRANTS: Record<string, string> = {
  api: 'Logs Tables Feed FeedOfTable Feeds Blobs Bucket Requests DeadLetters Schedules SchedulerRole',
  events: 'Logs Stream Tables Blobs Bucket',
  changes: 'Logs Tables Feed FeedOfTable Feeds Failed Bucket Schedules SchedulerRole',
  seal: 'Logs Tables Feed FeedOfTable Feeds Blobs Bucket',
  dispatcher: 'Logs Tables Blobs Failed Bucket Requests Schedules SchedulerRole',
  engine: 'Logs Tables Feed FeedOfTable Feeds Blobs Bucket Requests Deliveries Schedules SchedulerRole',
  upkeep: 'Logs Tables Blobs Bucket Schedules',
};
const ROLES = Object.keys(GRANTS);

test('each role has the statements its handlers need', () => {
  for (const role of ROLES) {
    assert.equal(Object.keys(statements(role)).join(' '), GRANTS[role], role);
  }
});

test('items are read and written, never scanned', () => {
  for (const role of ROLES) {
    const verbs = statements(role)['Tables']?.Action.map((action) => action.replace('dynamodb:', ''));
    assert.deepEqual(verbs, ['BatchGetItem', 'ConditionCheckItem', 'DeleteItem', 'GetItem', 'PutItem', 'Query'], role);
  }
});

test('only who writes events reaches the event store', () => {
  const reaching = ROLES.filter((role) => JSON.stringify(statements(role)['Tables']?.Resource).includes('EventsTable'));
  assert.deepEqual(reaching, ['api', 'events']);
});

test('objects are removed by who sweeps, written by who computes', () => {
  const may = (action: string) => ROLES.filter((role) => statements(role)['Blobs']?.Action.includes(action));
  assert.deepEqual(may('s3:GetObject'), ['api', 'events', 'seal', 'dispatcher', 'engine', 'upkeep']);
  assert.deepEqual(may('s3:PutObject'), ['api', 'events', 'seal', 'engine', 'upkeep']);
  assert.deepEqual(may('s3:DeleteObject'), ['api', 'dispatcher', 'upkeep']);
  const failed = { 'Fn::Join': ['', [att('Bucket', 'Arn'), '/aws/lambda/*']] };
  for (const role of ['changes', 'dispatcher']) {
    assert.deepEqual(statements(role)['Failed']?.Resource, failed);
  }
});

test('whatever Lambda gives up on can be kept', () => {
  const keeping = { ChangesFeed: 'changes', SealFeed: 'seal', EventsStream: 'events', UpkeepFirings: 'upkeep', DispatcherFirings: 'dispatcher' };
  for (const [mapping, role] of Object.entries(keeping)) {
    assert.deepEqual(properties(mapping).DestinationConfig.OnFailure.Destination, att('Bucket', 'Arn'));
    const actions = [...(statements(role)['Failed'] ?? statements(role)['Blobs'])!.Action, ...statements(role)['Bucket']!.Action];
    assert.ok(actions.includes('s3:PutObject') && actions.includes('s3:ListBucket'), `${role} cannot write what failed`);
  }
});

test('schedules are armed within the group, with one role that is Scheduler’s alone', () => {
  const every = arn('scheduler', 'schedule/${AWS::StackName}/*');
  for (const role of ROLES.filter((role) => statements(role)['Schedules'])) {
    const { Action, Resource } = statements(role)['Schedules']!;
    assert.deepEqual(Resource, every);
    const arms = Action.includes('scheduler:CreateSchedule');
    assert.equal(arms, role !== 'upkeep');
    assert.equal(statements(role)['SchedulerRole'] !== undefined, arms);
    if (arms) {
      assert.deepEqual(statements(role)['SchedulerRole'], {
        Sid: 'SchedulerRole',
        Effect: 'Allow',
        Action: ['iam:PassRole'],
        Resource: att('SchedulerRole', 'Arn'),
        Condition: { StringEquals: { 'iam:PassedToService': 'scheduler.amazonaws.com' } },
      });
    }
  }
  const role = properties('SchedulerRole');
  assert.deepEqual(role.AssumeRolePolicyDocument.Statement, [
    {
      Effect: 'Allow',
      Principal: { Service: 'scheduler.amazonaws.com' },
      Action: 'sts:AssumeRole',
      Condition: {
        StringEquals: {
          'aws:SourceAccount': ref('AWS::AccountId'),
          'aws:SourceArn': arn('scheduler', 'schedule-group/${AWS::StackName}'),
        },
      },
    },
  ]);
  assert.deepEqual(role.Policies[0].PolicyDocument.Statement, [
    {
      Sid: 'Fire',
      Effect: 'Allow',
      Action: ['lambda:InvokeFunction'],
      Resource: ['dispatcher', 'upkeep'].map((one) => arn('lambda', `function:\${AWS::StackName}-${one}`)),
    },
  ]);
});

test('queues are for who sends, who takes and who looks', () => {
  const requests = arn('sqs', '${AWS::StackName}-requests');
  for (const role of ['api', 'dispatcher', 'engine']) {
    assert.deepEqual(statements(role)['Requests']?.Action, ['sqs:SendMessage']);
    assert.deepEqual(statements(role)['Requests']?.Resource, requests);
  }
  assert.deepEqual(statements('engine')['Deliveries']?.Resource, requests);
  assert.deepEqual(statements('api')['DeadLetters']?.Resource, arn('sqs', '${AWS::StackName}-dead'));
});

test('no action is a wildcard, and of resources only those that are explained', () => {
  const wide: string[] = [];
  for (const [id, { Type }] of Object.entries(main.Resources as Record<string, { Type: string }>)) {
    const documents =
      Type === 'AWS::IAM::Role' ? properties(id).Policies.map((one: any) => one.PolicyDocument)
      : Type === 'AWS::IAM::RolePolicy' ? [properties(id).PolicyDocument]
      : [];
    for (const { Sid, Effect, Action, Resource } of documents.flatMap((one: any) => one.Statement) as Statement[]) {
      assert.equal(Effect, 'Allow');
      Action.forEach((action) => assert.doesNotMatch(action, /\*/, `${id} ${Sid}`));
      if (JSON.stringify(Resource).includes('*')) {
        wide.push(Sid);
      }
    }
  }
  assert.deepEqual([...new Set(wide)].sort(), ['Blobs', 'Failed', 'Feeds', 'Schedules']);
  for (const role of ['api', 'changes', 'seal', 'engine']) {
    assert.deepEqual(statements(role)['Feeds'], { Sid: 'Feeds', Effect: 'Allow', Action: ['dynamodb:ListStreams'], Resource: '*' });
  }
});

test('a session with the directory bucket goes with blobs', () => {
  const having = Object.keys(main.Resources).filter((id) => main.Resources[id].Type === 'AWS::IAM::RolePolicy');
  assert.deepEqual(having.sort(), ['ApiFast', 'DispatcherFast', 'EngineFast', 'EventsFast', 'SealFast', 'UpkeepFast']);
  for (const id of having) {
    const [{ Action, Resource }] = properties(id).PolicyDocument.Statement;
    assert.deepEqual(Action, ['s3express:CreateSession']);
    assert.match(JSON.stringify(Resource), /s3express.*bucket\/.*ExpressZone.*--x-s3/);
    assert.deepEqual(properties(id).RoleName, ref(id.replace('Fast', 'Role')));
  }
});
