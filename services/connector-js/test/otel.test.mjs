// The module `otel`, with the real packages of OpenTelemetry.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { SpanKind, SpanStatusCode, context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { AlwaysOffSampler, BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import ws from "ws";
import { Connector } from "../.build/connector.js";
import { openTelemetry } from "../.build/otel.js";
import { Server } from "./support/server.mjs";

const TIMEOUT = { timeout: 9000 };
let server;
let client;
let exporter;
before(async () => (server = await Server.start()));
beforeEach(() => (exporter = new InMemorySpanExporter()));
afterEach(() => {
  client?.manualClose();
  for (const api of [trace, propagation, context]) api.disable();
});
after(() => server.stop());

/** Registers the SDK as an application does. */
function register({ propagator = new W3CTraceContextPropagator(), ...options } = {}) {
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)], ...options }));
  if (propagator) propagation.setGlobalPropagator(propagator);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
}

async function open(traceparent = openTelemetry()) {
  client = new Connector({ url: server.url, WebSocket: ws, pingInterval: 0, traceparent });
  const peer = await server.accept();
  await client.opened();
  return peer;
}

const shown = ({ name, kind, attributes, status }) => ({ name, kind, attributes, status });

test("a request is a client span, a child of the active one, and its frame carries its context", TIMEOUT, async () => {
  register();
  const peer = await open();
  const reply = trace.getTracer("app").startActiveSpan("click", (click) => {
    const asked = client.request("ask", 1);
    click.end();
    return asked;
  });
  const { callbackId, traceparent } = await peer.json();
  assert.deepEqual(exporter.getFinishedSpans().map(({ name }) => name), ["click"], "the request is not answered");
  peer.say({ payload: 2, callbackId });
  assert.equal(await reply, 2);
  const [click, ask] = exporter.getFinishedSpans();
  assert.deepEqual(shown(ask), {
    name: "ask",
    kind: SpanKind.CLIENT,
    attributes: { "wsmesh.event": "ask" },
    status: { code: SpanStatusCode.UNSET },
  });
  const { traceId, spanId } = ask.spanContext();
  assert.equal(traceparent, `00-${traceId}-${spanId}-01`);
  assert.equal(ask.parentSpanContext.spanId, click.spanContext().spanId);
});

test("an error's code is the span's error.type and status", TIMEOUT, async () => {
  register();
  const peer = await open();
  const refused = client.request("buy", 1);
  await peer.reply({ error: "sold out", errorCode: "SOLD_OUT" });
  await assert.rejects(refused);
  await assert.rejects(client.request("slow", 1, { callbackTimeout: 1 }), { errorCode: "CALLBACK_TIMEOUT" });
  client.manualClose();
  await assert.rejects(client.request("late", 1), { errorCode: "WS_NOT_OPEN" });
  const expected = [["buy", "SOLD_OUT"], ["slow", "CALLBACK_TIMEOUT"], ["late", "WS_NOT_OPEN"]];
  assert.deepEqual(exporter.getFinishedSpans().map(shown), expected.map(([name, code]) => ({
    name,
    kind: SpanKind.CLIENT,
    attributes: { "wsmesh.event": name, "error.type": code },
    status: { code: SpanStatusCode.ERROR, message: code },
  })));
});

test("an event's span ends as soon as it is sent", TIMEOUT, async () => {
  register();
  const peer = await open();
  client.emit("say", 1);
  assert.deepEqual(exporter.getFinishedSpans().map(({ name }) => name), ["say"]);
  assert.match((await peer.json()).traceparent, /^00-.*-01$/);
});

test("a trace that is not sampled says so in the frame", TIMEOUT, async () => {
  register({ sampler: new AlwaysOffSampler() });
  const peer = await open();
  client.emit("say", 1);
  assert.match((await peer.json()).traceparent, /^00-.*-00$/);
  assert.deepEqual(exporter.getFinishedSpans(), []);
});

test("without a provider nothing is traced, and one that is registered later is used", TIMEOUT, async () => {
  const peer = await open();
  client.emit("say", 1);
  assert.equal(await peer.read(), '{"event":"say","payload":1}');
  register();
  client.emit("say", 2);
  assert.ok((await peer.json()).traceparent);
  assert.equal(exporter.getFinishedSpans().length, 1);
});

test("without a propagator of W3C trace contexts there is a span, and the frame carries nothing", TIMEOUT, async () => {
  const b3 = { inject: (_, carrier, setter) => setter.set(carrier, "b3", "1"), extract: (given) => given, fields: () => ["b3"] };
  for (const propagator of [null, b3]) {
    register({ propagator });
    const peer = await open();
    client.emit("say", 1);
    assert.equal(await peer.read(), '{"event":"say","payload":1}');
    client.manualClose();
    for (const api of [trace, propagation, context]) api.disable();
  }
  assert.equal(exporter.getFinishedSpans().length, 2);
});

test("an application can give its own tracer, also to the CommonJS module", TIMEOUT, async () => {
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  const common = createRequire(import.meta.url)("../.build/otel.cjs");
  for (const hook of [openTelemetry, common.openTelemetry]) {
    const peer = await open(hook(provider.getTracer("mine")));
    client.emit("say", 1);
    await peer.read();
    client.manualClose();
  }
  assert.deepEqual(exporter.getFinishedSpans().map(({ instrumentationScope }) => instrumentationScope.name), ["mine", "mine"]);
});
