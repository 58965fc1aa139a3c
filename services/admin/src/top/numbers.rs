//! Numbers in few columns, for people.

/// A number of things, of things per second, or of milliseconds: `0.4`, `17`, `999`, `1.2k`, `48k`, `3.4M`.
pub(crate) fn short(number: f64) -> String {
    scaled(number, 1_000.0, ["", "k", "M", "G", "T"])
}

/// Bytes: `12`, `1.5K`, `2.0M`.
pub(crate) fn bytes(number: f64) -> String {
    scaled(number, 1_024.0, ["", "K", "M", "G", "T"])
}

fn scaled(number: f64, step: f64, units: [&str; 5]) -> String {
    let (mut number, mut unit) = (number.max(0.0), 0);
    // 999.6 would be written as 1000.
    while number >= step - 0.5 && unit + 1 < units.len() {
        (number, unit) = (number / step, unit + 1);
    }
    let is_whole = number.fract() == 0.0 && unit == 0;
    match number < 9.95 && !is_whole {
        true => format!("{number:.1}{}", units[unit]),
        false => format!("{number:.0}{}", units[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_have_four_digits() {
        let shown = [
            0.0,
            0.44,
            1.0,
            9.96,
            17.2,
            999.0,
            999.6,
            1_234.0,
            48_000.0,
            3_400_000.0,
            2e15,
        ];
        assert_eq!(
            shown.map(short),
            [
                "0", "0.4", "1", "10", "17", "999", "1.0k", "1.2k", "48k", "3.4M", "2000T"
            ]
        );
        assert_eq!(bytes(1_536.0), "1.5K");
        assert_eq!(bytes(268_435_456.0), "256M");
        assert_eq!(short(-3.0), "0");
    }
}
