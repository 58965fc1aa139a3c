//! What a bundle on a real Redis shows on its ops ports: every name, and its description.

mod bounded;
mod documents;
mod ground;
mod names;
mod scrape;
