//! Who changed what: one record for each request that changes something, also for those that were rejected.
//!
//! The last records are kept in memory (`book`), logged, one line each, and gathered from all admins (`gathering`). A record never
//! holds a payload or a token, and of bodies only what was changed, such as the log level. Sends, and rejections that repeat, are summed up by the minute, and rejections have a place
//! of their own, so that no script pushes out what others did.

mod record;

mod book;

mod gathering;

mod layer;
mod subject;

pub(crate) use book::Audit;
pub(crate) use gathering::{AuditView, Place, page};
pub(crate) use layer::follow;
pub(crate) use record::{Entry, Record, went_away};
pub(crate) use subject::Subject;
