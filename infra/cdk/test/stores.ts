/** Stores and queues: what keeps events and numbers, and for how long. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arn, artifacts, att, main, properties, ref, sub, template, when } from './template.js';

const KEPT = { DeletionPolicy: 'RetainExceptOnCreate', UpdateReplacePolicy: 'Retain' };

test('both tables have binary keys, are paid by request and are hard to lose', () => {
  for (const [id, suffix] of [['EventsTable', 'events'], ['ItemsTable', 'items']] as const) {
    const { StreamSpecification, ...rest } = properties(id);
    assert.deepEqual(rest, {
      TableName: sub(`\${AWS::StackName}-${suffix}`),
      AttributeDefinitions: [
        { AttributeName: 'p', AttributeType: 'B' },
        { AttributeName: 's', AttributeType: 'B' },
      ],
      KeySchema: [
        { AttributeName: 'p', KeyType: 'HASH' },
        { AttributeName: 's', KeyType: 'RANGE' },
      ],
      BillingMode: 'PAY_PER_REQUEST',
      DeletionProtectionEnabled: true,
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
    });
    const feed = id === 'EventsTable' ? { StreamViewType: 'NEW_AND_OLD_IMAGES' } : undefined;
    assert.deepEqual(StreamSpecification, feed);
  }
});

test('what holds data outlives the stack, and nothing else does', () => {
  const kept = Object.entries(main.Resources as Record<string, Record<string, unknown>>)
    .filter(([, resource]) => resource['DeletionPolicy'] !== undefined)
    .map(([id, { DeletionPolicy, UpdateReplacePolicy }]) => [id, { DeletionPolicy, UpdateReplacePolicy }]);
  assert.deepEqual(Object.fromEntries(kept), {
    EventsTable: KEPT, ItemsTable: KEPT, Bucket: KEPT, BucketPolicy: KEPT, FastBucket: KEPT,
  });
});

test('what is kept stands without the rest', () => {
  const kept = Object.keys(main.Resources).filter((id) => main.Resources[id].DeletionPolicy);
  const rest = Object.keys(main.Resources).filter((id) => !kept.includes(id));
  for (const id of kept) {
    const text = JSON.stringify(main.Resources[id]);
    const needed = rest.filter((other) => text.includes(`"${other}"`));
    assert.deepEqual(needed, [], id);
  }
});

test('buckets are private, encrypted and for TLS alone', () => {
  for (const [one, name] of [[template, sub('${AWS::StackName}-${AWS::AccountId}-${AWS::Region}')], [artifacts, undefined]] as const) {
    one.hasResourceProperties('AWS::S3::Bucket', {
      ...(name && { BucketName: name }),
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
      },
      OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true, BlockPublicPolicy: true, IgnorePublicAcls: true, RestrictPublicBuckets: true,
      },
    });
    one.hasResourceProperties('AWS::S3::BucketPolicy', {
      Bucket: ref('Bucket'),
      PolicyDocument: {
        Statement: [
          {
            Effect: 'Deny',
            Principal: { AWS: '*' },
            Action: 's3:*',
            Resource: [att('Bucket', 'Arn'), { 'Fn::Join': ['', [att('Bucket', 'Arn'), '/*']] }],
            Condition: { Bool: { 'aws:SecureTransport': 'false' } },
          },
        ],
      },
    });
  }
  const bucket = properties('Bucket');
  assert.equal(bucket.VersioningConfiguration, undefined);
  assert.deepEqual(bucket.LifecycleConfiguration.Rules, [
    { Id: 'unfinished-uploads', Status: 'Enabled', AbortIncompleteMultipartUpload: { DaysAfterInitiation: 2 } },
    { Id: 'replaced', Status: 'Enabled', NoncurrentVersionExpiration: { NoncurrentDays: 7 } },
  ]);
});

test('the bucket of archives goes with its stack', () => {
  artifacts.hasResource('AWS::S3::Bucket', { DeletionPolicy: 'Delete' });
});

test('the directory bucket is named by its zone', () => {
  const name = ['', [ref('AWS::StackName'), '-', ref('AWS::AccountId'), '--', ref('ExpressZone'), '--x-s3']];
  assert.deepEqual(properties('FastBucket'), {
    BucketName: { 'Fn::Join': name },
    DataRedundancy: 'SingleAvailabilityZone',
    LocationName: ref('ExpressZone'),
  });
});

test('a request is hidden for six times the engine’s time and dead after five deliveries', () => {
  assert.deepEqual(properties('Requests'), {
    QueueName: sub('${AWS::StackName}-requests'),
    MessageRetentionPeriod: 345_600,
    SqsManagedSseEnabled: true,
    VisibilityTimeout: 720,
    RedrivePolicy: { deadLetterTargetArn: att('DeadLetters', 'Arn'), maxReceiveCount: 5 },
  });
  assert.equal(properties('Requests').VisibilityTimeout, 6 * properties('EngineFunction').Timeout);
  assert.deepEqual(properties('DeadLetters'), {
    QueueName: sub('${AWS::StackName}-dead'),
    MessageRetentionPeriod: 1_209_600,
    SqsManagedSseEnabled: true,
    RedriveAllowPolicy: { redrivePermission: 'byQueue', sourceQueueArns: [arn('sqs', '${AWS::StackName}-requests')] },
  });
});

test('queues refuse whoever does not use TLS', () => {
  for (const queue of ['Requests', 'DeadLetters']) {
    const [statement] = properties(`${queue}Policy`).PolicyDocument.Statement;
    assert.deepEqual(statement, {
      Sid: 'TlsOnly',
      Effect: 'Deny',
      Principal: { AWS: '*' },
      Action: 'sqs:*',
      Resource: att(queue, 'Arn'),
      Condition: { Bool: { 'aws:SecureTransport': 'false' } },
    });
    assert.deepEqual(properties(`${queue}Policy`).Queues, [ref(queue)]);
  }
});

test('a stream has shards or is paid by use', () => {
  assert.deepEqual(properties('Stream'), {
    Name: sub('${AWS::StackName}-events'),
    RetentionPeriodHours: 24,
    ShardCount: when('HasShards', ref('Kinesis')),
    StreamModeDetails: { StreamMode: when('HasShards', 'PROVISIONED', 'ON_DEMAND') },
    StreamEncryption: { EncryptionType: 'KMS', KeyId: 'alias/aws/kinesis' },
  });
});

test('the budget tells somebody only when there is somebody', () => {
  const { Budget, NotificationsWithSubscribers } = properties('Budget');
  assert.deepEqual(Budget, {
    BudgetType: 'COST', TimeUnit: 'MONTHLY', BudgetLimit: { Amount: ref('BudgetUsd'), Unit: 'USD' },
  });
  const [condition, told, otherwise] = NotificationsWithSubscribers['Fn::If'];
  assert.equal(condition, 'HasEmail');
  assert.deepEqual(otherwise, ref('AWS::NoValue'));
  const thresholds = told.map((one: any) => [one.Notification.NotificationType, one.Notification.Threshold]);
  assert.deepEqual(thresholds, [['ACTUAL', 80], ['FORECASTED', 100]]);
  assert.deepEqual(told[0].Subscribers, [{ SubscriptionType: 'EMAIL', Address: ref('BudgetEmail') }]);
});
