/**
 * What calls the functions: the feed, the queue, the stream, and whoever has the URL.
 *
 * A mapping of the feed has a tumbling window only because a delivery names its shard then, which totals and pages are
 * kept by. Every mapping gives up before the feed forgets (24 hours), and keeps what it gave up on in the bucket.
 */

import { CfnOutput, Fn, Stack } from 'aws-cdk-lib';
import { CfnEventInvokeConfig, CfnEventSourceMapping, CfnFunction, CfnPermission, CfnUrl } from 'aws-cdk-lib/aws-lambda';
import type { Stores } from './stores.js';
import { title, type Role } from './names.js';
import type { Parameters } from './parameters.js';

/** Hours after which a change is given up on: below the 24 the feed keeps, so that nothing is forgotten unseen. */
export const RECORD_AGE_HOURS = 22;
/** Tries of a batch. One that no try can do is halved first, down to the record. */
const RETRIES = 200;
/** The longest window there is: each ends with a call that brings nothing. */
const TUMBLING_SECONDS = 900;

type Functions = Record<Role, CfnFunction>;

/** The change feed. */
export function feed(stack: Stack, made: Functions, stores: Stores) {
  const mapping = (role: Role, batch: number, windowSeconds: number) =>
    new CfnEventSourceMapping(stack, `${title(role)}Feed`, {
      functionName: made[role].ref,
      eventSourceArn: stores.events.attrStreamArn,
      ...stream(batch, windowSeconds, stores),
      tumblingWindowInSeconds: TUMBLING_SECONDS,
    });
  mapping('changes', 1000, 1);
  mapping('seal', 10_000, 60);
}

/** The stream of producers. */
export function producers(stack: Stack, made: Functions, stores: Stores, parameters: Parameters, streamArn: string) {
  const mapping = new CfnEventSourceMapping(stack, 'EventsStream', {
    functionName: made.events.ref,
    eventSourceArn: streamArn,
    ...stream(500, 1, stores),
  });
  mapping.cfnOptions.condition = parameters.hasKinesis;
}

function stream(batchSize: number, maximumBatchingWindowInSeconds: number, stores: Stores) {
  return {
    startingPosition: 'TRIM_HORIZON',
    batchSize,
    maximumBatchingWindowInSeconds,
    // Two batches of a shard at once would change totals out of order.
    parallelizationFactor: 1,
    bisectBatchOnFunctionError: true,
    functionResponseTypes: ['ReportBatchItemFailures'],
    maximumRetryAttempts: RETRIES,
    maximumRecordAgeInSeconds: RECORD_AGE_HOURS * 3600,
    destinationConfig: { onFailure: { destination: stores.bucket.attrArn } },
  };
}

/** The engine's requests. */
export function requests(stack: Stack, made: Functions, queueArn: string) {
  new CfnEventSourceMapping(stack, 'EngineRequests', {
    functionName: made.engine.ref,
    eventSourceArn: queueArn,
    batchSize: 10,
    functionResponseTypes: ['ReportBatchItemFailures'],
    // Backfills keep to a budget of their own; this bounds what many of them take from the account's 1,000.
    scalingConfig: { maximumConcurrency: 20 },
  });
}

/** Firings come without an answer: Lambda tries again, then leaves them in the bucket. */
export function firings(stack: Stack, made: Functions, stores: Stores) {
  for (const role of ['dispatcher', 'upkeep'] as const) {
    new CfnEventInvokeConfig(stack, `${title(role)}Firings`, {
      functionName: made[role].ref,
      qualifier: '$LATEST',
      maximumRetryAttempts: 2,
      maximumEventAgeInSeconds: 3600,
      destinationConfig: { onFailure: { destination: stores.bucket.attrArn } },
    });
  }
}

/** The API's URL. It is open to all: the API itself asks for keys. */
export function url(stack: Stack, made: Functions) {
  const address = new CfnUrl(stack, 'ApiUrl', {
    targetFunctionArn: made.api.attrArn,
    authType: 'NONE',
    invokeMode: 'BUFFERED',
  });
  new CfnPermission(stack, 'ApiUrlPermission', {
    functionName: made.api.ref,
    action: 'lambda:InvokeFunctionUrl',
    principal: '*',
    functionUrlAuthType: 'NONE',
  });
  // Needed too since October 2025; this way only through the URL.
  new CfnPermission(stack, 'ApiInvokePermission', {
    functionName: made.api.ref,
    action: 'lambda:InvokeFunction',
    principal: '*',
    invokedViaFunctionUrl: true,
  });
  new CfnOutput(stack, 'Url', { value: Fn.getAtt(address.logicalId, 'FunctionUrl').toString() });
}
