/** Findings of cdk-nag that stay, each with its reason. */

import { Validations } from 'aws-cdk-lib';
import type { CfnRole } from 'aws-cdk-lib/aws-iam';
import type { CfnBucket } from 'aws-cdk-lib/aws-s3';
import type { Role } from './names.js';
import { FAILED_PREFIX, GRANTS, keepsFailed } from './permissions.js';

/** The wildcards of a role, and why there is no narrower way. */
export function explainWildcards(executor: CfnRole, role: Role) {
  const grant = GRANTS[role];
  const explain = (resource: string, reason: string) =>
    Validations.of(executor).acknowledge({ id: `AwsSolutions::AwsSolutions-IAM5[Resource::${resource}]`, reason });
  if (grant.feed) {
    explain('*', 'dynamodb:ListStreams takes no resource; everything else about the feed names its stream.');
  }
  if (grant.blobs) {
    explain('<Bucket.Arn>/*', 'Keys of pages, details and states are hashes and days of tenants that come and go.');
  }
  if (keepsFailed(grant)) {
    explain(`<Bucket.Arn>/${FAILED_PREFIX}*`, 'Lambda chooses the keys of what it gave up on, below this prefix.');
  }
  if (grant.schedules) {
    const group = 'arn:<AWS::Partition>:scheduler:<AWS::Region>:<AWS::AccountId>:schedule/<AWS::StackName>/*';
    explain(group, 'Schedules are armed and disarmed by name while events come; the group is the stack\'s own.');
  }
}

/** Why nobody logs who reads a bucket. */
export function explainNoAccessLogs(bucket: CfnBucket, reason: string) {
  Validations.of(bucket).acknowledge({ id: 'AwsSolutions::AwsSolutions-S1', reason });
}
