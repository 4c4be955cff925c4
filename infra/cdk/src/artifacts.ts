/**
 * The bucket that the functions' archive is uploaded to, as a stack of its own: it has to be there before the functions.
 * Keys are hashes of what they hold and never written twice, so there is nothing that versions would keep.
 */

import { CfnDeletionPolicy, CfnOutput, Fn, Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { explainNoAccessLogs } from './acknowledged.js';
import { synthesizer } from './synthesizer.js';
import { privateBucket, tlsOnly } from './stores.js';

export class ArtifactsStack extends Stack {
  constructor(scope: Construct, id: string) {
    super(scope, id, { synthesizer: synthesizer(), description: 'tidemill: archives of its functions' });
    const bucket = privateBucket(this, 'Bucket', Fn.sub('${AWS::StackName}-${AWS::AccountId}-${AWS::Region}'), [
      { id: 'unfinished-uploads', status: 'Enabled', abortIncompleteMultipartUpload: { daysAfterInitiation: 2 } },
    ]);
    bucket.cfnOptions.deletionPolicy = CfnDeletionPolicy.DELETE;
    tlsOnly(this, 'BucketPolicy', bucket);
    explainNoAccessLogs(bucket, 'Only the account itself reaches it, and it holds nothing but archives of open-source programs.');
    new CfnOutput(this, 'BucketOutput', { value: bucket.ref }).overrideLogicalId('Bucket');
  }
}
