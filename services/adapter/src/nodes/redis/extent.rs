//! How far the next frame goes, found without recursion: the decoder calls itself for each array in an array, so bytes of a
//! hostile peer could overflow the stack, which ends the process. What is too deep, or not Redis's protocol, never reaches it.

/// Arrays that may be inside each other. Redis's answers to our commands have one inside another at most.
const DEEPEST: usize = 8;

/// The bytes of the frame at the beginning of these bytes; none if it is not complete.
///
/// # Errors
/// When it is not a frame, or too deep; says why.
pub(super) fn extent(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    // How many parts are still to come of each array that is open.
    let mut open = [0_usize; DEEPEST];
    let (mut depth, mut at) = (0, 0);
    loop {
        let Some(line) = line(bytes, at) else {
            return Ok(None);
        };
        let kind = line.first().copied();
        at += line.len() + 2;
        let mut parts = 0;
        match kind {
            Some(b'+' | b'-' | b':') => {}
            Some(b'$') => at += length(line)?.map_or(0, |length| length.saturating_add(2)),
            Some(b'*') => parts = length(line)?.unwrap_or_default(),
            _ => return Err("it has no such type of frame"),
        }
        if at > bytes.len() {
            return Ok(None);
        }
        if parts > 0 {
            *open.get_mut(depth).ok_or("arrays inside arrays inside arrays")? = parts;
            depth += 1;
            continue;
        }
        // This part is complete, and maybe the arrays that it is the last part of.
        loop {
            let Some(array) = depth.checked_sub(1) else {
                return Ok(Some(at));
            };
            open[array] -= 1;
            if open[array] > 0 {
                break;
            }
            depth = array;
        }
    }
}

/// The line that begins here, if its end is there; a type that is wrong is a line of its own.
fn line(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    match rest.first()? {
        b'+' | b'-' | b':' | b'$' | b'*' => {}
        _ => return Some(&rest[..1]),
    }
    let mut from = 0;
    loop {
        let end = from + rest[from..].iter().position(|byte| *byte == b'\r')?;
        match rest.get(end + 1)? {
            b'\n' => return Some(&rest[..end]),
            _ => from = end + 1,
        }
    }
}

/// The number in a line, as the decoder reads it; none for null.
fn length(line: &[u8]) -> Result<Option<usize>, &'static str> {
    let number = std::str::from_utf8(&line[1..])
        .ok()
        .and_then(|number| number.parse::<isize>().ok());
    match number.ok_or("a length is not a number")? {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| "a length is negative"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redis_protocol::resp2::decode::decode;

    use super::*;

    #[test]
    fn a_frame_goes_as_far_as_the_decoder_reads() {
        for frame in [
            &b"+OK\r\n"[..],
            b"-ERR no\rthing\r\n",
            b":7\r\n",
            b"$-1\r\n",
            b"$0\r\n\r\n",
            b"*-1\r\n",
            b"*0\r\n",
            b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\n*1\r\n\r\n",
            b"*2\r\n*2\r\n:1\r\n*0\r\n*1\r\n*1\r\n+x\r\n",
        ] {
            let (_, read) = decode(frame).expect("a frame").expect("complete");
            let more = [frame, b":1\r\n"].concat();
            assert_eq!(extent(&more), Ok(Some(read)), "{frame:?}");
            for part in 0..frame.len() {
                assert_eq!(extent(&frame[..part]), Ok(None), "{part} of {frame:?}");
            }
        }
    }

    #[test]
    fn arrays_too_deep_are_rejected_wherever_they_are() {
        let deep = |depth: usize| "*1\r\n".repeat(depth) + ":1\r\n";
        assert!(matches!(extent(deep(DEEPEST).as_bytes()), Ok(Some(_))));
        let message = "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n";
        for bytes in [deep(DEEPEST + 1), deep(1_000_000), message.to_owned() + &deep(DEEPEST)] {
            assert!(extent(bytes.as_bytes()).is_err());
        }
        for broken in [
            "HTTP/1.1 400\r\n",
            "$x\r\n",
            "$-2\r\n",
            "*-2\r\n",
            "\x15\x03\x01",
            "*1\r\n%1\r\n",
        ] {
            assert!(extent(broken.as_bytes()).is_err(), "{broken:?}");
        }
        assert_eq!(extent(b"$9223372036854775807\r\n"), Ok(None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_as_far_as_the_decoder_reads_them(bytes in "[*$:+\r\n0-3-]{0,40}|([*$:][0-3]\r\n){0,12}") {
            let decoded = decode(bytes.as_bytes());
            match extent(bytes.as_bytes()) {
                Ok(Some(read)) => if let Ok(decoded) = decoded {
                    prop_assert_eq!(decoded.map(|(_, read)| read), Some(read));
                },
                Ok(None) => prop_assert!(!matches!(decoded, Ok(Some(_)))),
                Err(_) => prop_assert!(!matches!(decoded, Ok(Some(_))) || bytes.matches('*').count() > DEEPEST),
            }
        }
    }
}
