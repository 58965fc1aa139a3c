// src/otel.ts
import { SpanKind, SpanStatusCode, context, propagation, trace } from "@opentelemetry/api";
function openTelemetry(tracer = trace.getTracer("@wsmesh/connector")) {
  return (event) => {
    const span = tracer.startSpan(event, { kind: SpanKind.CLIENT, attributes: { "wsmesh.event": event } });
    const carrier = {};
    propagation.inject(trace.setSpan(context.active(), span), carrier);
    return {
      traceparent: carrier.traceparent,
      end(error) {
        if (error) {
          span.setAttribute("error.type", error);
          span.setStatus({ code: SpanStatusCode.ERROR, message: error });
        }
        span.end();
      }
    };
  };
}
export {
  openTelemetry
};
