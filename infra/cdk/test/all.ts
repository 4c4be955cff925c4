/** Every test in one process: a synthesis takes seconds, and all of them look at the same one. */

import './functions.js';
import './permissions.js';
import './stores.js';
import './whole.js';
