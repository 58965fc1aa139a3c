"use strict";
var __defProp = Object.defineProperty;
var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __hasOwnProp = Object.prototype.hasOwnProperty;
var __export = (target, all) => {
  for (var name in all)
    __defProp(target, name, { get: all[name], enumerable: true });
};
var __copyProps = (to, from, except, desc) => {
  if (from && typeof from === "object" || typeof from === "function") {
    for (let key of __getOwnPropNames(from))
      if (!__hasOwnProp.call(to, key) && key !== except)
        __defProp(to, key, { get: () => from[key], enumerable: !(desc = __getOwnPropDesc(from, key)) || desc.enumerable });
  }
  return to;
};
var __toCommonJS = (mod) => __copyProps(__defProp({}, "__esModule", { value: true }), mod);

// src/otel.ts
var otel_exports = {};
__export(otel_exports, {
  openTelemetry: () => openTelemetry
});
module.exports = __toCommonJS(otel_exports);
var import_api = require("@opentelemetry/api");
function openTelemetry(tracer = import_api.trace.getTracer("@wsmesh/connector")) {
  return (event) => {
    const span = tracer.startSpan(event, { kind: import_api.SpanKind.CLIENT, attributes: { "wsmesh.event": event } });
    const carrier = {};
    import_api.propagation.inject(import_api.trace.setSpan(import_api.context.active(), span), carrier);
    return {
      traceparent: carrier.traceparent,
      end(error) {
        if (error) {
          span.setAttribute("error.type", error);
          span.setStatus({ code: import_api.SpanStatusCode.ERROR, message: error });
        }
        span.end();
      }
    };
  };
}
