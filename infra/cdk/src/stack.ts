/** The stack: stores, queues, the scheduler's group, seven functions and what calls them. */

import { CfnOutput, Fn, Stack } from 'aws-cdk-lib';
import { CfnBudget } from 'aws-cdk-lib/aws-budgets';
import { CfnRole } from 'aws-cdk-lib/aws-iam';
import { CfnStream } from 'aws-cdk-lib/aws-kinesis';
import { CfnScheduleGroup } from 'aws-cdk-lib/aws-scheduler';
import { CfnQueue, CfnQueuePolicy } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { SIZES, assumedBy, functions } from './functions.js';
import { functionArn, named, queueArn, scheduleGroupArn } from './names.js';
import { Parameters } from './parameters.js';
import { firing } from './permissions.js';
import { feed, firings, producers, requests, url } from './sources.js';
import { Stores } from './stores.js';
import { synthesizer } from './synthesizer.js';

/** Times a request is delivered before it is dead: as the queue port says. */
const DELIVERIES_MAX = 5;
const DAY_SECONDS = 24 * 3600;

export class TidemillStack extends Stack {
  constructor(scope: Construct, id: string) {
    super(scope, id, { synthesizer: synthesizer(), description: 'tidemill: metrics as assets' });
    const parameters = new Parameters(this);
    const stores = new Stores(this, parameters);
    const queues = this.queues();
    const group = new CfnScheduleGroup(this, 'ScheduleGroup', { name: Fn.ref('AWS::StackName') });
    const schedulerRole = this.schedulerRole();
    const streamArn = this.stream(parameters);
    const made = functions(this, {
      stores,
      parameters,
      requestsUrl: queues.requests.ref,
      deadLettersUrl: queues.dead.ref,
      schedulerRoleArn: schedulerRole.attrArn,
      streamArn,
    });
    url(this, made);
    feed(this, made, stores);
    requests(this, made, queues.requests.attrArn);
    firings(this, made, stores);
    producers(this, made, stores, parameters, streamArn);
    this.budget(parameters);
    this.outputs({
      EventsTable: stores.events.ref,
      ItemsTable: stores.items.ref,
      Bucket: stores.bucket.ref,
      RequestsUrl: queues.requests.ref,
      DeadLettersUrl: queues.dead.ref,
      ScheduleGroup: group.ref,
      ScheduleRoleArn: schedulerRole.attrArn,
      DispatcherArn: functionArn('dispatcher'),
      UpkeepArn: functionArn('upkeep'),
    });
    new CfnOutput(this, 'FastBucketOutput', { value: stores.fast.ref, condition: parameters.hasExpress })
      .overrideLogicalId('FastBucket');
  }

  private outputs(values: Record<string, string>) {
    for (const [id, value] of Object.entries(values)) {
      new CfnOutput(this, `${id}Output`, { value }).overrideLogicalId(id);
    }
  }

  private queues() {
    const dead = new CfnQueue(this, 'DeadLetters', {
      queueName: named('dead'),
      messageRetentionPeriod: 14 * DAY_SECONDS,
      sqsManagedSseEnabled: true,
      redriveAllowPolicy: { redrivePermission: 'byQueue', sourceQueueArns: [queueArn('requests')] },
    });
    const requests = new CfnQueue(this, 'Requests', {
      queueName: named('requests'),
      messageRetentionPeriod: 4 * DAY_SECONDS,
      sqsManagedSseEnabled: true,
      // Six times the engine's own time, as Lambda asks: a request that is worked on is not delivered again.
      visibilityTimeout: 6 * SIZES.engine.timeoutSeconds,
      redrivePolicy: { deadLetterTargetArn: dead.attrArn, maxReceiveCount: DELIVERIES_MAX },
    });
    for (const [id, queue] of Object.entries({ DeadLettersPolicy: dead, RequestsPolicy: requests })) {
      new CfnQueuePolicy(this, id, { queues: [queue.ref], policyDocument: tlsOnly(queue.attrArn) });
    }
    return { dead, requests };
  }

  private schedulerRole() {
    return new CfnRole(this, 'SchedulerRole', {
      description: 'tidemill: what its schedules may call',
      assumeRolePolicyDocument: assumedBy('scheduler.amazonaws.com', {
        StringEquals: { 'aws:SourceAccount': Fn.ref('AWS::AccountId'), 'aws:SourceArn': scheduleGroupArn() },
      }),
      policies: [firing()],
    });
  }

  private stream(parameters: Parameters): string {
    const shards = Fn.conditionIf(parameters.hasShards.logicalId, parameters.kinesis, Fn.ref('AWS::NoValue'));
    const stream = new CfnStream(this, 'Stream', {
      name: named('events'),
      retentionPeriodHours: 24,
      shardCount: shards as unknown as number,
      streamModeDetails: {
        streamMode: Fn.conditionIf(parameters.hasShards.logicalId, 'PROVISIONED', 'ON_DEMAND').toString(),
      },
      streamEncryption: { encryptionType: 'KMS', keyId: 'alias/aws/kinesis' },
    });
    stream.cfnOptions.condition = parameters.hasKinesis;
    new CfnOutput(this, 'StreamOutput', { value: stream.ref, condition: parameters.hasKinesis })
      .overrideLogicalId('Stream');
    return stream.attrArn;
  }

  /** Watches the whole account's bill: costs by stack are known only to accounts that turned cost tags on. */
  private budget(parameters: Parameters) {
    const notification = (threshold: number, notificationType: string) => ({
      Notification: {
        ComparisonOperator: 'GREATER_THAN',
        NotificationType: notificationType,
        Threshold: threshold,
        ThresholdType: 'PERCENTAGE',
      },
      Subscribers: [{ SubscriptionType: 'EMAIL', Address: parameters.budgetEmail }],
    });
    const budget = new CfnBudget(this, 'Budget', {
      budget: {
        budgetType: 'COST',
        timeUnit: 'MONTHLY',
        budgetLimit: { amount: parameters.budgetUsd, unit: 'USD' },
      },
    });
    // A budget that nobody is told of is still seen in the console. Names are AWS's: who is told cannot be changed, so
    // the budget is replaced then.
    const told = [notification(80, 'ACTUAL'), notification(100, 'FORECASTED')];
    const whenGiven = Fn.conditionIf(parameters.hasEmail.logicalId, told, Fn.ref('AWS::NoValue'));
    budget.addPropertyOverride('NotificationsWithSubscribers', whenGiven);
    budget.cfnOptions.condition = parameters.hasBudget;
  }
}

const tlsOnly = (queue: string) => ({
  Version: '2012-10-17',
  Statement: [
    {
      Sid: 'TlsOnly',
      Effect: 'Deny',
      Principal: { AWS: '*' },
      Action: 'sqs:*',
      Resource: queue,
      Condition: { Bool: { 'aws:SecureTransport': 'false' } },
    },
  ],
});
