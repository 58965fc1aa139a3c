/** Client SDK: events, requests, heartbeat and reconnecting over one WebSocket to a ws-node. */
export { Connector, type Result } from "./connector.js";
export { WebSocketConnector } from "./websocket-connector.js";
export { RequestError } from "./requests.js";
export { closeGroup, retryAfter, type CloseGroup } from "./close-codes.js";
export type { ErrorObject } from "./frames.js";
export type { Options, RequestOptions, Token, Trace } from "./options.js";
export type { WebSocketConstructor, WebSocketLike } from "./socket.js";
export type { AnyEvents, Closed, ListenerOf, Name, Payload, Reply, RoomLost, State, SystemEvents, } from "./events.js";
