/** Functions and what calls them: every figure. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arn, att, main, properties, ref, sub, template, when } from './template.js';

/** Role → memory in MiB, time in seconds, scratch in MiB. */
const SIZES = {
  api: [1024, 30, 1024],
  events: [1024, 30, 512],
  changes: [1024, 60, 512],
  seal: [2048, 120, 512],
  dispatcher: [1024, 30, 512],
  engine: [2048, 120, 4096],
  upkeep: [2048, 900, 4096],
} as const;
const title = (role: string) => role.charAt(0).toUpperCase() + role.slice(1);

test('each role has its size, its name and the one program', () => {
  for (const [role, [memory, seconds, scratch]] of Object.entries(SIZES)) {
    const { Environment, ...rest } = properties(`${title(role)}Function`);
    assert.deepEqual(rest, {
      FunctionName: sub(`\${AWS::StackName}-${role}`),
      Description: `tidemill: ${role}`,
      Runtime: 'provided.al2023',
      Handler: 'bootstrap',
      Architectures: [ref('Architecture')],
      Code: { S3Bucket: ref('CodeBucket'), S3Key: ref('CodeKey') },
      MemorySize: memory,
      Timeout: seconds,
      EphemeralStorage: { Size: scratch },
      Role: att(`${title(role)}Role`, 'Arn'),
      LoggingConfig: {
        LogFormat: 'JSON', ApplicationLogLevel: 'INFO', SystemLogLevel: 'INFO', LogGroup: ref(`${title(role)}Logs`),
      },
      RecursiveLoop: role === 'engine' ? 'Allow' : 'Terminate',
    });
    assert.ok(Environment);
    assert.deepEqual(properties(`${title(role)}Logs`), {
      LogGroupName: sub(`/aws/lambda/\${AWS::StackName}-${role}`),
      RetentionInDays: ref('RetentionDays'),
    });
  }
});

test('each is told its role and the rest of the stack', () => {
  const fast = ['', [ref('AWS::StackName'), '-', ref('AWS::AccountId'), '--', ref('ExpressZone'), '--x-s3']];
  for (const role of Object.keys(SIZES)) {
    assert.deepEqual(properties(`${title(role)}Function`).Environment.Variables, {
      TIDEMILL_ROLE: role,
      TIDEMILL_EVENTS_TABLE: ref('EventsTable'),
      TIDEMILL_ITEMS_TABLE: ref('ItemsTable'),
      TIDEMILL_BUCKET: ref('Bucket'),
      TIDEMILL_FAST_BUCKET: when('HasExpress', { 'Fn::Join': fast }),
      TIDEMILL_REQUESTS_URL: ref('Requests'),
      TIDEMILL_DEAD_LETTERS_URL: ref('DeadLetters'),
      TIDEMILL_SCHEDULE_GROUP: ref('AWS::StackName'),
      TIDEMILL_SCHEDULE_ROLE_ARN: att('SchedulerRole', 'Arn'),
      TIDEMILL_DISPATCHER_ARN: arn('lambda', 'function:${AWS::StackName}-dispatcher'),
      TIDEMILL_UPKEEP_ARN: arn('lambda', 'function:${AWS::StackName}-upkeep'),
      TIDEMILL_REPAIR_ATTEMPTS: ref('RepairAttempts'),
    });
  }
});

test('only the consumer of the stream depends on a choice', () => {
  const dependent = Object.entries(main.Resources as Record<string, { Condition?: string }>)
    .filter(([, { Condition }]) => Condition !== undefined && Condition !== 'HasExpress')
    .map(([id, { Condition }]) => `${id} ${Condition}`);
  assert.deepEqual(dependent.sort(), [
    'Budget HasBudget', 'EventsFast HasBoth', 'EventsFunction HasKinesis', 'EventsLogs HasKinesis',
    'EventsRole HasKinesis', 'EventsStream HasKinesis', 'Stream HasKinesis',
  ]);
});

test('the URL is open, by both permissions it needs, and the function only through it', () => {
  assert.deepEqual(properties('ApiUrl'), {
    AuthType: 'NONE', InvokeMode: 'BUFFERED', TargetFunctionArn: att('ApiFunction', 'Arn'),
  });
  assert.deepEqual(properties('ApiUrlPermission'), {
    Action: 'lambda:InvokeFunctionUrl', FunctionName: ref('ApiFunction'), FunctionUrlAuthType: 'NONE', Principal: '*',
  });
  assert.deepEqual(properties('ApiInvokePermission'), {
    Action: 'lambda:InvokeFunction', FunctionName: ref('ApiFunction'), InvokedViaFunctionUrl: true, Principal: '*',
  });
});

/** What every mapping of a stream has. */
const STREAM = {
  StartingPosition: 'TRIM_HORIZON',
  ParallelizationFactor: 1,
  BisectBatchOnFunctionError: true,
  FunctionResponseTypes: ['ReportBatchItemFailures'],
  MaximumRetryAttempts: 200,
  MaximumRecordAgeInSeconds: 79_200,
  DestinationConfig: { OnFailure: { Destination: att('Bucket', 'Arn') } },
};

test('the feed is read in order, and given up on before it forgets', () => {
  for (const [role, batch, window] of [['Changes', 1000, 1], ['Seal', 10_000, 60]] as const) {
    assert.deepEqual(properties(`${role}Feed`), {
      ...STREAM,
      FunctionName: ref(`${role}Function`),
      EventSourceArn: att('EventsTable', 'StreamArn'),
      BatchSize: batch,
      MaximumBatchingWindowInSeconds: window,
      TumblingWindowInSeconds: 900,
    });
  }
  assert.ok(STREAM.MaximumRecordAgeInSeconds < 86_400);
});

test('producers’ records are read in order', () => {
  assert.deepEqual(properties('EventsStream'), {
    ...STREAM,
    FunctionName: ref('EventsFunction'),
    EventSourceArn: att('Stream', 'Arn'),
    BatchSize: 500,
    MaximumBatchingWindowInSeconds: 1,
  });
});

test('requests come ten at a time, each with its own outcome', () => {
  assert.deepEqual(properties('EngineRequests'), {
    FunctionName: ref('EngineFunction'),
    EventSourceArn: att('Requests', 'Arn'),
    BatchSize: 10,
    FunctionResponseTypes: ['ReportBatchItemFailures'],
    ScalingConfig: { MaximumConcurrency: 20 },
  });
});

test('a firing that fails is tried again, then kept', () => {
  for (const role of ['Dispatcher', 'Upkeep']) {
    assert.deepEqual(properties(`${role}Firings`), {
      FunctionName: ref(`${role}Function`),
      Qualifier: '$LATEST',
      MaximumRetryAttempts: 2,
      MaximumEventAgeInSeconds: 3600,
      DestinationConfig: { OnFailure: { Destination: att('Bucket', 'Arn') } },
    });
  }
});

test('the group holds no schedule: they are armed by activity', () => {
  assert.deepEqual(properties('ScheduleGroup'), { Name: ref('AWS::StackName') });
  template.resourceCountIs('AWS::Scheduler::Schedule', 0);
  template.resourceCountIs('AWS::Events::Rule', 0);
});
