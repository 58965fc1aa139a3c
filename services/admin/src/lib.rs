//! HTTP API that looks at the whole cluster and changes it.
