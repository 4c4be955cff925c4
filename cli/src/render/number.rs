//! Numbers for people: thousands separators, and decimal points under one another. Digits are never dropped or made up.

/// The number with commas between thousands: `-1234567.50` → `-1,234,567.50`. Text that is no plain decimal stays.
pub fn grouped(text: &str) -> String {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (whole, part) = rest.split_once('.').map_or((rest, None), |(whole, part)| (whole, Some(part)));
    let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !part.is_none_or(plain) {
        return text.to_owned();
    }
    let mut out = String::from(sign);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(part) = part {
        out.push('.');
        out.push_str(part);
    }
    out
}

/// Pads a column of numbers on the right, so that right-aligned they have their points under one another.
pub fn pointed(column: &mut [String]) {
    let tail = |text: &str| text.find('.').map_or(0, |at| text.len() - at);
    let widest = column.iter().map(|text| tail(text)).max().unwrap_or(0);
    for text in column.iter_mut().filter(|text| !text.is_empty()) {
        let pad = widest - tail(text);
        text.extend(std::iter::repeat_n(' ', pad));
    }
}

/// A count for people.
pub fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// A count with its noun: `1 event`, `2 events`.
pub fn counted(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(value), if value == 1 { "" } else { "s" })
}

/// A duration for people: `0.4 s`, `12 s`, `3 min 5 s`.
pub fn seconds(duration: std::time::Duration) -> String {
    let whole = duration.as_secs();
    match whole {
        0..=9 => format!("{}.{} s", whole, duration.subsec_millis() / 100),
        10..=119 => format!("{whole} s"),
        _ => format!("{} min {} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        for (text, shown) in [
            ("0", "0"),
            ("999", "999"),
            ("1000", "1,000"),
            ("-1234567.50", "-1,234,567.50"),
            ("-123", "-123"),
            ("12345678901234567890123456789012345678", "12,345,678,901,234,567,890,123,456,789,012,345,678"),
            ("0.000001", "0.000001"),
            ("1e9", "1e9"),
            ("", ""),
            ("n/a", "n/a"),
        ] {
            assert_eq!(grouped(text), shown);
        }
    }

    #[test]
    fn points_stand_under_one_another() {
        let mut column = ["1.25", "10", "", "3.5"].map(str::to_owned);
        pointed(&mut column);
        assert_eq!(column, ["1.25", "10   ", "", "3.5 "]);
    }

    #[test]
    fn counts_and_durations() {
        assert_eq!(counted(1, "event"), "1 event");
        assert_eq!(counted(12_017, "event"), "12,017 events");
        assert_eq!(seconds(std::time::Duration::from_millis(1_250)), "1.2 s");
        assert_eq!(seconds(std::time::Duration::from_secs(185)), "3 min 5 s");
    }
}
