/** For a `<script>` tag: everything as `wsmesh.…`, and `WebSocketConnector` as a global, as in websocket-cross-server-adapter. */

import { Connector, RequestError, WebSocketConnector, closeGroup, retryAfter } from "./index.js";

const wsmesh = { Connector, RequestError, WebSocketConnector, closeGroup, retryAfter };
Object.assign(globalThis, { wsmesh, WebSocketConnector });
