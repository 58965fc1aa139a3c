//! Reads server-sent events from bytes as they arrive, in chunks that end anywhere. Follows the HTML standard, as far as the API
//! uses it: `event`, `data` and comments. Pure.

/// Longest event: a snapshot of hundreds of servers has some hundred kilobytes.
pub(crate) const MAX_EVENT_BYTES: usize = 32 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

/// The stream has an event that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {MAX_EVENT_BYTES} bytes")]
pub(crate) struct TooLong;

/// What has arrived of the stream.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Of the line that has not ended.
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed that follows belongs to the same end of line.
    after_return: bool,
    name: String,
    data: String,
}

impl Events {
    /// Takes more bytes; the events that end in them.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            if std::mem::take(&mut self.after_return) && *first == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|b| matches!(b, b'\n' | b'\r'));
            self.line.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
            if self.line.len() + self.data.len() > MAX_EVENT_BYTES {
                return Err(TooLong);
            }
            let Some(end) = end else { break };
            self.after_return = rest[end] == b'\r';
            rest = &rest[end + 1..];
            events.extend(self.end_line());
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
            return (!data.is_empty()).then_some(Event { name, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // Comments have no field; others are of no use here.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str =
        ": hello\n\nevent: snapshot\ndata: {\"a\":\ndata: \"ü\"}\n\nevent: job\r\ndata:{}\r\n\r\nevent: none\n\n";

    fn event(name: &str, data: &str) -> Event {
        Event {
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    fn expected() -> Vec<Event> {
        vec![event("snapshot", "{\"a\":\n\"ü\"}"), event("job", "{}")]
    }

    #[test]
    fn events_are_read_whole() {
        assert_eq!(Events::default().take(STREAM.as_bytes()), Ok(expected()));
    }

    #[test]
    fn it_does_not_matter_where_chunks_end() {
        for size in 1..STREAM.len() {
            let mut events = Events::default();
            let read = STREAM
                .as_bytes()
                .chunks(size)
                .flat_map(|chunk| events.take(chunk).expect("short"));
            assert_eq!(read.collect::<Vec<_>>(), expected(), "in chunks of {size}");
        }
    }

    #[test]
    fn lines_may_end_with_a_carriage_return_alone() {
        let read = Events::default().take(b"event: a\rdata: 1\r\rdata: 2\r\r");
        assert_eq!(read, Ok(vec![event("a", "1"), event("", "2")]));
    }

    #[test]
    fn bytes_that_are_no_text_and_fields_that_are_unknown_do_no_harm() {
        let read = Events::default().take(b"retry: 5\nid\nnonsense\n: comment\ndata: \xff\xfe\n\n");
        assert_eq!(read, Ok(vec![event("", "\u{fffd}\u{fffd}")]));
    }

    #[test]
    fn an_event_without_an_end_is_not_kept_forever() {
        let mut events = Events::default();
        let chunk = vec![b'x'; 1 << 20];
        let mut taken = (0..40).map(|_| events.take(&chunk));
        assert!(taken.any(|result| result == Err(TooLong)));
    }
}
