/** The functions: one program, seven roles. */

import { CfnCondition, CfnResource, Fn, Stack } from 'aws-cdk-lib';
import { CfnRole, CfnRolePolicy } from 'aws-cdk-lib/aws-iam';
import { CfnFunction } from 'aws-cdk-lib/aws-lambda';
import { CfnLogGroup } from 'aws-cdk-lib/aws-logs';
import { explainWildcards } from './acknowledged.js';
import { ROLES, fastBucketName, functionArn, named, title, type Role } from './names.js';
import type { Parameters } from './parameters.js';
import { GRANTS, fast, policies } from './permissions.js';
import type { Stores } from './stores.js';

/** What a role needs to work with. */
interface Size {
  memoryMib: number;
  timeoutSeconds: number;
  /** Scratch disk; folds that outgrow memory go there. */
  scratchMib: number;
}

export const SIZES: Record<Role, Size> = {
  api: { memoryMib: 1024, timeoutSeconds: 30, scratchMib: 1024 },
  events: { memoryMib: 1024, timeoutSeconds: 30, scratchMib: 512 },
  changes: { memoryMib: 1024, timeoutSeconds: 60, scratchMib: 512 },
  seal: { memoryMib: 2048, timeoutSeconds: 120, scratchMib: 512 },
  dispatcher: { memoryMib: 1024, timeoutSeconds: 30, scratchMib: 512 },
  engine: { memoryMib: 2048, timeoutSeconds: 120, scratchMib: 4096 },
  upkeep: { memoryMib: 2048, timeoutSeconds: 900, scratchMib: 4096 },
};

/** What functions are told of the rest of the stack. */
export interface Surroundings {
  stores: Stores;
  parameters: Parameters;
  requestsUrl: string;
  deadLettersUrl: string;
  schedulerRoleArn: string;
  streamArn: string;
}

export function functions(stack: Stack, around: Surroundings): Record<Role, CfnFunction> {
  return Object.fromEntries(ROLES.map((role) => [role, one(stack, role, around)])) as Record<Role, CfnFunction>;
}

function one(stack: Stack, role: Role, around: Surroundings): CfnFunction {
  const { parameters, stores } = around;
  const size = SIZES[role];
  const logs = new CfnLogGroup(stack, `${title(role)}Logs`, {
    logGroupName: Fn.sub(`/aws/lambda/\${AWS::StackName}-${role}`),
    retentionInDays: parameters.retentionDays,
  });
  const executor = new CfnRole(stack, `${title(role)}Role`, {
    description: `tidemill: what ${role} may do`,
    assumeRolePolicyDocument: assumedBy('lambda.amazonaws.com'),
    policies: policies(role, stores, { ...around, logsArn: logs.attrArn }),
  });
  explainWildcards(executor, role);
  const made = new CfnFunction(stack, `${title(role)}Function`, {
    functionName: named(role),
    description: `tidemill: ${role}`,
    runtime: 'provided.al2023',
    handler: 'bootstrap',
    architectures: [parameters.architecture],
    code: { s3Bucket: parameters.codeBucket, s3Key: parameters.codeKey },
    memorySize: size.memoryMib,
    timeout: size.timeoutSeconds,
    ephemeralStorage: { size: size.scratchMib },
    role: executor.attrArn,
    loggingConfig: { logFormat: 'JSON', applicationLogLevel: 'INFO', systemLogLevel: 'INFO', logGroup: logs.ref },
    // A backfill sends its next step from the last one: Lambda would take that for a loop and stop it after sixteen.
    recursiveLoop: role === 'engine' ? 'Allow' : 'Terminate',
    environment: { variables: environment(role, around) },
  });
  const session = GRANTS[role].blobs && fastSession(stack, role, executor, parameters);
  if (role === 'events') {
    if (session) {
      session.cfnOptions.condition = new CfnCondition(stack, 'HasBoth', {
        expression: Fn.conditionAnd(parameters.hasKinesis, parameters.hasExpress),
      });
    }
    for (const resource of [logs, executor, made] as CfnResource[]) {
      resource.cfnOptions.condition = parameters.hasKinesis;
    }
  }
  return made;
}

/** The policy that is there only with the directory bucket. */
function fastSession(stack: Stack, role: Role, executor: CfnRole, parameters: Parameters) {
  const made = new CfnRolePolicy(stack, `${title(role)}Fast`, {
    roleName: executor.ref,
    ...fast(parameters.expressZone),
  });
  made.cfnOptions.condition = parameters.hasExpress;
  return made;
}

function environment(role: Role, around: Surroundings): Record<string, string> {
  const { parameters, stores } = around;
  const fast = Fn.conditionIf(
    parameters.hasExpress.logicalId,
    fastBucketName(parameters.expressZone),
    Fn.ref('AWS::NoValue'),
  );
  return {
    TIDEMILL_ROLE: role,
    TIDEMILL_EVENTS_TABLE: stores.events.ref,
    TIDEMILL_ITEMS_TABLE: stores.items.ref,
    TIDEMILL_BUCKET: stores.bucket.ref,
    TIDEMILL_FAST_BUCKET: fast.toString(),
    TIDEMILL_REQUESTS_URL: around.requestsUrl,
    TIDEMILL_DEAD_LETTERS_URL: around.deadLettersUrl,
    TIDEMILL_SCHEDULE_GROUP: Fn.ref('AWS::StackName'),
    TIDEMILL_SCHEDULE_ROLE_ARN: around.schedulerRoleArn,
    TIDEMILL_DISPATCHER_ARN: functionArn('dispatcher'),
    TIDEMILL_UPKEEP_ARN: functionArn('upkeep'),
    TIDEMILL_REPAIR_ATTEMPTS: parameters.repairAttempts,
  };
}

/** Who may take on a role: one service of this account. */
export const assumedBy = (service: string, condition?: unknown) => ({
  Version: '2012-10-17',
  Statement: [
    {
      Effect: 'Allow',
      Principal: { Service: service },
      Action: 'sts:AssumeRole',
      ...(condition !== undefined && { Condition: condition }),
    },
  ],
});
