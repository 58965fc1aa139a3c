/**
 * Traces of `@opentelemetry/api` for the option `traceparent`. A module of its own: the client itself does not need that package.
 */
import { type Tracer } from "@opentelemetry/api";
import type { Trace } from "./options.js";
/**
 * A hook for the option `traceparent`: starts a span for each event and request, named like it, as a child of the active span. The
 * frame carries its context, if the application's propagator writes a `traceparent`. Without `tracer` it is the global provider's,
 * which may be registered later. Without a provider nothing is traced.
 */
export declare function openTelemetry(tracer?: Tracer): (event: string) => Trace;
