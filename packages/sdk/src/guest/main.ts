/** Entry of `guest.js`: connects a guest to the engine it runs in. */

import { globals } from './frames.js';
import { Guest } from './guest.js';

const guest = new Guest();
globals.__kiciGuest = { receive: (json) => guest.receive(json) };
guest.start();
