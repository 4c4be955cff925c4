/**
 * What holds a user's events and numbers. All of it outlives the stack: `DeletionPolicy` keeps what was in use, also
 * when somebody deletes the stack by hand. Only the first creation that fails takes its empty stores along.
 */

import { CfnDeletionPolicy, CfnResource, Stack, Token } from 'aws-cdk-lib';
import { CfnTable } from 'aws-cdk-lib/aws-dynamodb';
import { CfnBucket, CfnBucketPolicy } from 'aws-cdk-lib/aws-s3';
import { CfnDirectoryBucket } from 'aws-cdk-lib/aws-s3express';
import { explainNoAccessLogs } from './acknowledged.js';
import { bucketName, fastBucketName, named } from './names.js';
import type { Parameters } from './parameters.js';

export class Stores {
  /** The event store, with the change feed. */
  readonly events: CfnTable;
  /** Everything else that is kept in items. */
  readonly items: CfnTable;
  /** Pages, details and states. */
  readonly bucket: CfnBucket;
  /** Their fast copy. */
  readonly fast: CfnDirectoryBucket;

  constructor(stack: Stack, parameters: Parameters) {
    this.events = table(stack, 'EventsTable', 'events', { streamViewType: 'NEW_AND_OLD_IMAGES' });
    this.items = table(stack, 'ItemsTable', 'items');
    this.bucket = privateBucket(stack, 'Bucket', bucketName(), [
      { id: 'unfinished-uploads', status: 'Enabled', abortIncompleteMultipartUpload: { daysAfterInitiation: 2 } },
      // Versions are off; should somebody turn them on, replaced pages must not be paid for ever.
      { id: 'replaced', status: 'Enabled', noncurrentVersionExpiration: { noncurrentDays: 7 } },
    ]);
    keep(this.bucket);
    explainNoAccessLogs(this.bucket, 'They would be written, kept and paid for on every read; only the functions reach it.');
    keep(tlsOnly(stack, 'BucketPolicy', this.bucket));
    this.fast = new CfnDirectoryBucket(stack, 'FastBucket', {
      bucketName: fastBucketName(parameters.expressZone),
      dataRedundancy: 'SingleAvailabilityZone',
      locationName: parameters.expressZone,
    });
    this.fast.cfnOptions.condition = parameters.hasExpress;
    keep(this.fast);
  }
}

function table(stack: Stack, id: string, suffix: string, streamSpecification?: CfnTable.StreamSpecificationProperty) {
  const made = new CfnTable(stack, id, {
    tableName: named(suffix),
    attributeDefinitions: [
      { attributeName: 'p', attributeType: 'B' },
      { attributeName: 's', attributeType: 'B' },
    ],
    keySchema: [
      { attributeName: 'p', keyType: 'HASH' },
      { attributeName: 's', keyType: 'RANGE' },
    ],
    billingMode: 'PAY_PER_REQUEST',
    deletionProtectionEnabled: true,
    pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
    ...(streamSpecification && { streamSpecification }),
  });
  keep(made);
  return made;
}

/** A bucket that is nobody else's, encrypted. */
export function privateBucket(stack: Stack, id: string, bucketName: string, rules: CfnBucket.RuleProperty[]) {
  return new CfnBucket(stack, id, {
    bucketName,
    bucketEncryption: {
      serverSideEncryptionConfiguration: [{ serverSideEncryptionByDefault: { sseAlgorithm: 'AES256' } }],
    },
    lifecycleConfiguration: { rules },
    ownershipControls: { rules: [{ objectOwnership: 'BucketOwnerEnforced' }] },
    publicAccessBlockConfiguration: {
      blockPublicAcls: true,
      blockPublicPolicy: true,
      ignorePublicAcls: true,
      restrictPublicBuckets: true,
    },
  });
}

/** A policy that refuses whoever does not use TLS. */
export function tlsOnly(stack: Stack, id: string, bucket: CfnBucket) {
  return new CfnBucketPolicy(stack, id, {
    bucket: bucket.ref,
    policyDocument: {
      Version: '2012-10-17',
      Statement: [
        {
          Sid: 'TlsOnly',
          Effect: 'Deny',
          Principal: { AWS: '*' },
          Action: 's3:*',
          Resource: [bucket.attrArn, `${Token.asString(bucket.attrArn)}/*`],
          Condition: { Bool: { 'aws:SecureTransport': 'false' } },
        },
      ],
    },
  });
}

/** Keeps a resource that was in use, whatever becomes of the stack. */
function keep(resource: CfnResource) {
  resource.cfnOptions.deletionPolicy = CfnDeletionPolicy.RETAIN_EXCEPT_ON_CREATE;
  resource.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.RETAIN;
}
