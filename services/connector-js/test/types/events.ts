/** Compiled, never run: what typed events allow and, with `@ts-expect-error`, what they reject. */

import ws from "ws";
import { Connector, WebSocketConnector } from "../../.build/types/index.js";
import { openTelemetry } from "../../.build/types/otel.js";

interface ServerEvents {
  say(payload: { msg: string }): void;
  sum(payload: number[]): number;
}

interface ClientEvents {
  echo(payload: { n: number }): { n: number };
  hello(payload?: undefined): void;
}

const client = new Connector<ServerEvents, ClientEvents>({ url: "ws://host/", WebSocket: ws });

client.on("say", ({ msg }) => msg.toUpperCase());
client.on("pong", (latency) => latency.toFixed());
client.on("close", ({ code, willReconnect }) => [code, willReconnect]);
client.onRequest("sum", async (numbers) => numbers.length);
client.emit("echo", { n: 1 });
client.emit("echo", { n: 1 }, (error, payload) => (error ? error.errorCode : payload.n));
client.emit("hello");
const replied: Promise<{ n: number }> = client.request("echo", { n: 1 }, { retry: true });
void client.emitWithPromise("echo", { n: 1 }).then((result) => (result.success ? result.data.n : result.errorCode));

// @ts-expect-error an event that the server does not push
client.on("says", () => {});
// @ts-expect-error the payload has no such field
client.on("say", ({ text }) => text);
// @ts-expect-error the answer is a number
client.onRequest("sum", () => "3");
// @ts-expect-error the payload is of another type
client.emit("echo", { n: "1" });
// @ts-expect-error the payload is missing
client.emit("echo");
// @ts-expect-error the option is unknown
new Connector({ url: "ws://host/", pingIntervall: 1 });

new Connector({ url: "ws://host/", traceparent: openTelemetry() });
new Connector({ url: "ws://host/", traceparent: (event) => (event === "say" ? undefined : { end: (error) => error?.at(0) }) });
// @ts-expect-error a trace context is a text
new Connector({ url: "ws://host/", traceparent: async () => "" });

const any = new Connector({ url: "ws://host/" });
any.on("whatever", (payload) => payload.anything);
any.emit("whatever");
const original = new WebSocketConnector({ url: "ws://host/", customParams: { id: 7 } });
original.emit("say", { msg: "hi" }, (error, data) => [error?.error, data.anything], { onPending: () => {} });
void replied;
