//! What the modes do with connections.

pub mod churn;
pub mod flow;
pub mod plan;
pub mod publish;
pub mod reconnect;
pub mod requests;
pub mod stay;
pub mod traffic;
