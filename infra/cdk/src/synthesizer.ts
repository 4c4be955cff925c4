/** Templates that stand alone: no bucket of assets, no bootstrap stack, no parameter or rule that asks for one. */

import { LegacyStackSynthesizer } from 'aws-cdk-lib';

export const synthesizer = () => new LegacyStackSynthesizer();
