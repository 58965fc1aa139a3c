//! Entry points for fuzzers (`tests/fuzz`), and a property test that needs no fuzzer. Not part of the interface.

use bytes::Bytes;

use crate::cluster::Beacon;
use crate::wire::{Encoding, Envelope, Instance};

/// Reads bytes as anything that may arrive. An envelope must be the same when it is written and read again.
///
/// # Panics
/// When it is not, which is a bug.
pub fn envelope(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let _ = Beacon::decode(&bytes);
    let _ = Envelope::decode_custom(bytes.clone());
    let _ = Envelope::decode_unless_own(bytes.clone(), Instance(7));
    let Ok(read) = Envelope::decode(bytes) else { return };
    for encoding in [Encoding::Json, Encoding::Msgpack] {
        // A payload may be something that the other encoding cannot say.
        let Ok(written) = read.encode(encoding) else { continue };
        let again = Envelope::decode(written.clone()).unwrap_or_else(|error| panic!("{error}: {written:?}"));
        assert_eq!((&again.sender, &again.wm), (&read.sender, &read.wm));
        assert_eq!(again.body.kind(), read.body.kind());
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    const RECORDED: &str = include_str!("../../../tests/vectors/recorded.json");

    fn recorded() -> Vec<Vec<u8>> {
        let all: serde_json::Value = serde_json::from_str(RECORDED).expect("JSON");
        let cases = all["bridge"].as_array().expect("a list").iter();
        let payloads = cases.map(|case| STANDARD.decode(case["payload_b64"].as_str().expect("text")));
        payloads.map(|payload| payload.expect("base64")).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
        #[test]
        fn damaged_envelopes_are_refused_or_read(
            which in any::<prop::sample::Index>(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in any::<prop::sample::Index>(),
            whole in any::<bool>(),
        ) {
            let all = recorded();
            let mut bytes = which.get(&all).clone();
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if !whole {
                bytes.truncate(cut.index(bytes.len()));
            }
            super::envelope(&bytes);
        }

        #[test]
        fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            super::envelope(&bytes);
        }
    }
}
