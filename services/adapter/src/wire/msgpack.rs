//! Skips over MessagePack values without building them. Lengths are checked against the available bytes before anything
//! is skipped, and nothing is allocated.

use rmp::Marker;

/// The bytes end inside a value, or are not MessagePack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("broken MessagePack at byte {0}")]
pub(crate) struct Broken(pub(crate) usize);

/// Reads a big-endian unsigned number of `width` bytes.
fn number(bytes: &[u8], at: usize, width: usize) -> Result<usize, Broken> {
    let slice = bytes.get(at..at + width).ok_or(Broken(at))?;
    Ok(slice.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

/// What follows a marker: a number of bytes, then a number of values.
struct Extent {
    bytes: usize,
    values: usize,
}

/// The extent of the value whose marker is at `at`, and the index after the marker and its length field.
fn extent(bytes: &[u8], at: usize) -> Result<(Extent, usize), Broken> {
    let marker = Marker::from_u8(*bytes.get(at).ok_or(Broken(at))?);
    let at = at + 1;
    let own = |bytes| Ok((Extent { bytes, values: 0 }, at));
    let sized = |width, extra| {
        Ok((
            Extent {
                bytes: number(bytes, at, width)? + extra,
                values: 0,
            },
            at + width,
        ))
    };
    let list = |width, each| {
        Ok((
            Extent {
                bytes: 0,
                values: number(bytes, at, width)? * each,
            },
            at + width,
        ))
    };
    match marker {
        Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::False | Marker::True => own(0),
        Marker::U8 | Marker::I8 => own(1),
        Marker::U16 | Marker::I16 => own(2),
        Marker::U32 | Marker::I32 | Marker::F32 => own(4),
        Marker::U64 | Marker::I64 | Marker::F64 => own(8),
        Marker::FixStr(length) => own(usize::from(length)),
        Marker::FixExt1 => own(2),
        Marker::FixExt2 => own(3),
        Marker::FixExt4 => own(5),
        Marker::FixExt8 => own(9),
        Marker::FixExt16 => own(17),
        Marker::Str8 | Marker::Bin8 => sized(1, 0),
        Marker::Str16 | Marker::Bin16 => sized(2, 0),
        Marker::Str32 | Marker::Bin32 => sized(4, 0),
        Marker::Ext8 => sized(1, 1),
        Marker::Ext16 => sized(2, 1),
        Marker::Ext32 => sized(4, 1),
        Marker::FixArray(length) => Ok((
            Extent {
                bytes: 0,
                values: usize::from(length),
            },
            at,
        )),
        Marker::FixMap(length) => Ok((
            Extent {
                bytes: 0,
                values: usize::from(length) * 2,
            },
            at,
        )),
        Marker::Array16 => list(2, 1),
        Marker::Array32 => list(4, 1),
        Marker::Map16 => list(2, 2),
        Marker::Map32 => list(4, 2),
        Marker::Reserved => Err(Broken(at - 1)),
    }
}

/// The index after the value that starts at `at`. Iterative, so nesting costs nothing.
pub(crate) fn skip(bytes: &[u8], mut at: usize) -> Result<usize, Broken> {
    let mut left = 1_usize;
    while left > 0 {
        let (extent, next) = extent(bytes, at)?;
        at = next + extent.bytes;
        if at > bytes.len() {
            return Err(Broken(next));
        }
        left = left - 1 + extent.values;
        // Each value takes at least one byte, so there cannot be more values than bytes.
        if left > bytes.len() - at {
            return Err(Broken(at));
        }
    }
    Ok(at)
}

/// The number of entries of the map at the start, and the index of the first key.
pub(crate) fn map_header(bytes: &[u8]) -> Result<(usize, usize), Broken> {
    let marker = Marker::from_u8(*bytes.first().ok_or(Broken(0))?);
    match marker {
        Marker::FixMap(length) => Ok((usize::from(length), 1)),
        Marker::Map16 => Ok((number(bytes, 1, 2)?, 3)),
        Marker::Map32 => Ok((number(bytes, 1, 4)?, 5)),
        _ => Err(Broken(0)),
    }
}

/// The start and end of the string at `at`; `None` if the value there is not a string.
pub(crate) fn text(bytes: &[u8], at: usize) -> Result<Option<(usize, usize)>, Broken> {
    let marker = Marker::from_u8(*bytes.get(at).ok_or(Broken(at))?);
    if !matches!(marker, Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32) {
        return Ok(None);
    }
    let (extent, start) = extent(bytes, at)?;
    let end = start + extent.bytes;
    if end > bytes.len() {
        Err(Broken(at))
    } else {
        Ok(Some((start, end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_each_kind_is_skipped_completely() {
        let values = serde_json::json!([null, true, -7, 1, 70_000, 9_007_199_254_740_991_u64, 1.5, "text",
            "long text ".repeat(30), [1, [2, [3]]], {"k": {"deep": [{}]}}, vec![0; 20]]);
        for value in values.as_array().expect("an array") {
            let bytes = rmp_serde::to_vec_named(value).expect("can be written");
            assert_eq!(skip(&bytes, 0), Ok(bytes.len()), "{value}");
            for cut in 0..bytes.len() {
                assert!(skip(&bytes[..cut], 0).is_err(), "{value} cut at {cut}");
            }
        }
    }

    #[test]
    fn hostile_lengths_are_rejected_and_deep_nesting_costs_nothing() {
        assert!(
            skip(&[0xdd, 0xff, 0xff, 0xff, 0xff], 0).is_err(),
            "four billion elements"
        );
        assert!(
            skip(&[0xdb, 0xff, 0xff, 0xff, 0xff, b'x'], 0).is_err(),
            "a text of 4 GiB"
        );
        let mut nested = vec![0x91; 1_000_000];
        nested.push(0xc0);
        assert_eq!(skip(&nested, 0), Ok(nested.len()));
    }
}
