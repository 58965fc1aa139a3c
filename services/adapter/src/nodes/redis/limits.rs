//! Reads from a Redis how much it buffers for a slow subscriber.

use bytes::Bytes;
use redis_protocol::resp2::types::BytesFrame;

use super::connection::Connection;
use crate::nodes::link::LinkError;

/// The parameter. Its value lists classes of clients, each with a hard limit, a soft limit and the soft limit's
/// seconds.
const PARAMETER: &str = "client-output-buffer-limit";
const CLASS: &str = "pubsub";

/// How many bytes Redis buffers for one subscriber before it ends the connection. None if Redis does not say (an ACL
/// may forbid CONFIG GET), or if there is no limit.
pub(super) async fn held_for_subscribers(connection: &mut Connection) -> Result<Option<usize>, LinkError> {
    let words = ["CONFIG", "GET", PARAMETER].map(|word| Bytes::from_static(word.as_bytes()));
    connection.write(words.into_iter()).await?;
    loop {
        match connection.decode()? {
            Some(BytesFrame::Array(parts)) => return Ok(hard_limit(&parts)),
            // Forbidden, or answered differently: some servers only imitate Redis.
            Some(_) => return Ok(None),
            None => connection.fill().await?,
        }
    }
}

fn hard_limit(answer: &[BytesFrame]) -> Option<usize> {
    let [_, BytesFrame::BulkString(value)] = answer else {
        return None;
    };
    let mut words = std::str::from_utf8(value).ok()?.split_whitespace();
    words.find(|word| *word == CLASS)?;
    let limit = words.next()?.parse().ok()?;
    (limit > 0).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &'static str) -> Option<usize> {
        let text = |text: &'static str| BytesFrame::BulkString(Bytes::from_static(text.as_bytes()));
        hard_limit(&[text(PARAMETER), text(value)])
    }

    #[test]
    fn the_hard_limit_of_the_subscriber_class_is_found() {
        let value = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        assert_eq!(read(value), Some(33_554_432));
        assert_eq!(read("normal 0 0 0 pubsub 0 0 0"), None, "no limit");
        assert_eq!((read("pubsub"), read("normal 1 2 3"), read("")), (None, None, None));
        assert_eq!(hard_limit(&[]), None, "an unknown parameter");
    }
}
