/** The templates as a whole: they stand alone, fit into a call, and are what is committed. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { artifacts, committed, main, template, texts } from './template.js';

test('the committed templates are what synth gives', () => {
  for (const name of ['tidemill.json', 'artifacts.json']) {
    assert.equal(committed(name), texts[name], `${name}: run \`npm run build && npm run synth\` and commit the result`);
  }
});

test('templates fit into the body of a call', () => {
  for (const text of Object.values(texts)) {
    const bytes = Buffer.byteLength(JSON.stringify(JSON.parse(text)));
    assert.ok(bytes < 51_200, `${bytes} bytes; CloudFormation takes 51,200 without a bucket of templates`);
  }
});

test('templates stand alone', () => {
  for (const text of Object.values(texts)) {
    assert.doesNotMatch(text, /cdk-hnb|BootstrapVersion|AssetParameters|CheckBootstrapVersion|aws:cdk/);
    assert.doesNotMatch(text, /\b\d{12}\b/, 'an account');
    assert.doesNotMatch(text, /"(us|eu|ap)-[a-z]+-\d"/, 'a region');
  }
  assert.equal(main.Rules, undefined);
});

test('there is what there should be, and nothing that costs when idle', () => {
  const counts: Record<string, number> = {};
  for (const { Type } of Object.values(main.Resources) as { Type: string }[]) {
    counts[Type] = (counts[Type] ?? 0) + 1;
  }
  assert.deepEqual(counts, {
    'AWS::Budgets::Budget': 1,
    'AWS::DynamoDB::Table': 2,
    'AWS::IAM::Role': 8,
    'AWS::IAM::RolePolicy': 6,
    'AWS::Kinesis::Stream': 1,
    'AWS::Lambda::EventInvokeConfig': 2,
    'AWS::Lambda::EventSourceMapping': 4,
    'AWS::Lambda::Function': 7,
    'AWS::Lambda::Permission': 2,
    'AWS::Lambda::Url': 1,
    'AWS::Logs::LogGroup': 7,
    'AWS::S3::Bucket': 1,
    'AWS::S3::BucketPolicy': 1,
    'AWS::S3Express::DirectoryBucket': 1,
    'AWS::SQS::Queue': 2,
    'AWS::SQS::QueuePolicy': 2,
    'AWS::Scheduler::ScheduleGroup': 1,
  });
  assert.equal(main.Resources.Stream.Condition, 'HasKinesis');
  assert.equal(main.Resources.FastBucket.Condition, 'HasExpress');
  assert.equal(main.Resources.Budget.Condition, 'HasBudget');
});

test('outputs say what commands need', () => {
  const outputs = Object.keys(main.Outputs).sort();
  assert.deepEqual(outputs, [
    'Bucket', 'DeadLettersUrl', 'DispatcherArn', 'EventsTable', 'FastBucket', 'ItemsTable', 'RequestsUrl',
    'ScheduleGroup', 'ScheduleRoleArn', 'Stream', 'UpkeepArn', 'Url',
  ]);
  template.hasOutput('Stream', { Condition: 'HasKinesis' });
  template.hasOutput('FastBucket', { Condition: 'HasExpress' });
  template.hasOutput('Url', { Value: { 'Fn::GetAtt': ['ApiUrl', 'FunctionUrl'] } });
  artifacts.hasOutput('Bucket', { Value: { Ref: 'Bucket' } });
});

test('parameters take what makes sense, and say what that is', () => {
  const cases: Record<string, { fits: string[]; fails: string[]; fallback: string | undefined }> = {
    ExpressZone: { fits: ['', 'use1-az4', 'apne1-az4', 'usw2-az1'], fails: ['us-east-1a', 'USE1-AZ4', 'use1'], fallback: '' },
    BudgetUsd: { fits: ['0', '25', '9999999'], fails: ['', '-1', '1.5', '007', '10000000'], fallback: '0' },
    BudgetEmail: { fits: ['', 'a@b.example'], fails: ['a', 'a@b', 'a b@c.example'], fallback: '' },
    Kinesis: { fits: ['off', 'on-demand', '1', '999'], fails: ['', 'on', '0', '1000', '1.5'], fallback: 'off' },
    RepairAttempts: { fits: ['0', '3', '10'], fails: ['', '-1', '11'], fallback: '3' },
    CodeBucket: { fits: ['tidemill-artifacts-1'], fails: ['', 'A', 'a_b'], fallback: undefined },
    CodeKey: { fits: ['functions/0f-arm64.zip'], fails: ['', 'a b'], fallback: undefined },
  };
  for (const [name, { fits, fails, fallback }] of Object.entries(cases)) {
    const { AllowedPattern, ConstraintDescription, Default, Description } = main.Parameters[name];
    const pattern = new RegExp(`^(?:${AllowedPattern})$`);
    fits.forEach((value) => assert.match(value, pattern, `${name}=${value}`));
    fails.forEach((value) => assert.doesNotMatch(value, pattern, `${name}=${value}`));
    assert.match(ConstraintDescription, /^must be /);
    assert.ok(Description.length > 20);
    assert.equal(Default, fallback, name);
  }
  template.hasParameter('Architecture', { AllowedValues: ['arm64', 'x86_64'], Default: 'arm64' });
  const days = main.Parameters.RetentionDays;
  assert.equal(days.Type, 'Number');
  assert.equal(days.Default, '30');
  assert.equal(days.AllowedValues.length, 22);
  assert.deepEqual(Object.keys(main.Parameters).sort(), [...Object.keys(cases), 'Architecture', 'RetentionDays'].sort());
});
