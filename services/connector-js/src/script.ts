/** For a `<script>` tag: everything as `wsmesh.…`, and the original's name as the original sets it. */

import { Connector, RequestError, WebSocketConnector, closeGroup, retryAfter } from "./index.js";

const wsmesh = { Connector, RequestError, WebSocketConnector, closeGroup, retryAfter };
Object.assign(globalThis, { wsmesh, WebSocketConnector });
