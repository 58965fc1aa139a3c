//! What every service starts with: configuration, telemetry, probes, signals.
