/**
 * Names and ARNs that are told by the stack's name alone. Functions are told each other's ARNs, and roles what they may
 * reach, without a circle of references. A store that would have to be replaced fails by its name, rather than vanish.
 */

import { Aws, Fn } from 'aws-cdk-lib';

export const ROLES = ['api', 'events', 'changes', 'seal', 'dispatcher', 'engine', 'upkeep'] as const;
export type Role = (typeof ROLES)[number];

export const named = (suffix: string) => Fn.sub(`\${AWS::StackName}-${suffix}`);

const arn = (service: string, rest: string) =>
  Fn.sub(`arn:\${AWS::Partition}:${service}:\${AWS::Region}:\${AWS::AccountId}:${rest}`);

export const functionArn = (role: Role) => arn('lambda', `function:\${AWS::StackName}-${role}`);
export const queueArn = (suffix: string) => arn('sqs', `\${AWS::StackName}-${suffix}`);
/** Every schedule of the group. */
export const schedulesArn = () => arn('scheduler', 'schedule/${AWS::StackName}/*');
export const scheduleGroupArn = () => arn('scheduler', 'schedule-group/${AWS::StackName}');

/** The bucket of pages and details: names of buckets are shared by the whole world. */
export const bucketName = () => Fn.sub('${AWS::StackName}-${AWS::AccountId}-${AWS::Region}');
/** The directory bucket: its name ends with its zone. */
export const fastBucketName = (zone: string) =>
  Fn.join('', [Aws.STACK_NAME, '-', Aws.ACCOUNT_ID, '--', zone, '--x-s3']);
export const fastBucketArn = (zone: string) =>
  Fn.join('', [arn('s3express', 'bucket/'), fastBucketName(zone)]);

/** Title case, for the ids of a role's resources. */
export const title = (role: string) => role.charAt(0).toUpperCase() + role.slice(1);
