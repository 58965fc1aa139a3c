/** Compiled, never run: the types as a CommonJS importer sees them. */

import connector = require("../../.build/types-commonjs/index.js");

const client = new connector.Connector({ url: "ws://host/" });
client.on("state", (state) => state === "open");

import otel = require("../../.build/types-commonjs/otel.js");
new connector.Connector({ url: "ws://host/", traceparent: otel.openTelemetry() });
