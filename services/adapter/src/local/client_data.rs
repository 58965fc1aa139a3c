//! What may be attached to a connection: JSON of a bounded size and depth, so that whoever gets it can read it.

/// Most bytes of the JSON that services may attach to a connection.
pub const MAX_DATA_BYTES: usize = 4096;

/// Deepest nesting of it. Readers of JSON often stop at 128 levels, and it travels inside of other values.
pub const MAX_DATA_DEPTH: usize = 64;

/// Why JSON cannot be attached to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// It is too large.
    #[error("the data has {0} bytes of JSON: at most {MAX_DATA_BYTES} may be attached to a client")]
    TooLarge(usize),
    /// It is nested too deeply.
    #[error("the data is nested more than {MAX_DATA_DEPTH} levels deep")]
    TooDeep,
}

impl DataError {
    /// Checks what is to be attached, which is valid JSON.
    ///
    /// # Errors
    /// When it is too large, or nested too deeply.
    pub fn check(json: &str) -> Result<(), Self> {
        if json.len() > MAX_DATA_BYTES {
            return Err(Self::TooLarge(json.len()));
        }
        if depth(json) > MAX_DATA_DEPTH {
            return Err(Self::TooDeep);
        }
        Ok(())
    }
}

/// How deeply valid JSON is nested.
fn depth(json: &str) -> usize {
    let (mut now, mut deepest, mut is_text, mut is_escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => {
                now += 1;
                deepest = deepest.max(now);
            }
            b']' | b'}' if !is_text => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_texts_do_not_count() {
        assert_eq!(depth("1"), 0);
        assert_eq!(depth(r#"{"a":[1,[2]],"b":{}}"#), 3);
        assert_eq!(depth(r#"["[[[", "\"[[", "\\"]"#), 1);
    }

    #[test]
    fn data_may_be_4096_bytes_and_64_levels_and_no_more() {
        let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
        assert_eq!(DataError::check(&text(MAX_DATA_BYTES)), Ok(()));
        assert_eq!(
            DataError::check(&text(MAX_DATA_BYTES + 1)),
            Err(DataError::TooLarge(4097))
        );
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert_eq!(DataError::check(&nested(MAX_DATA_DEPTH)), Ok(()));
        assert_eq!(DataError::check(&nested(MAX_DATA_DEPTH + 1)), Err(DataError::TooDeep));
    }
}
