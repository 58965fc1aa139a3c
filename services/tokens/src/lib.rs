//! Verifies signed tokens (JWT), and slows down addresses whose tokens are wrong: the same for every service.
//!
//! `verify` checks a token with `keys`, which come from a file or are fetched by `jwks`; what its claims mean is for the service
//! to say. `failures` counts wrong tokens by address with a `meter`. Nothing here ever logs or counts a token or a part of one.

mod error;
mod keys;

mod key_file;

mod jwks;

mod verify;

mod meter;

mod failures;

pub use error::VerifyError;
pub use failures::Failures;
pub use jwks::{Jwks, JwksSource};
pub use key_file::KeyFile;
pub use keys::{KeySet, MIN_SECRET_BYTES};
pub use meter::{Meter, Rate};
pub use verify::{Claims, Expected, Verifier, expiry};
