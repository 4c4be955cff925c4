//! Period starts for people: `2026-08-01T00:00:00+05:30` is the day `2026-08-01`, the month `2026-08`, the quarter
//! `2026-Q3`.

/// The heading of the time column for an `every`.
pub fn heading(every: &str) -> &str {
    if every.is_empty() || every == "null" { "from" } else { every }
}

/// A period's start as people write the period. The instant carries its zone's offset, so its date is the local one.
pub fn shown(start: &str, every: &str) -> String {
    let Some((date, clock)) = start.split_once('T') else { return start.to_owned() };
    let month: Option<u32> = date.get(5..7).and_then(|month| month.parse().ok());
    match (every, month) {
        ("day" | "week", _) => date.to_owned(),
        ("month", Some(_)) => date[..7].to_owned(),
        ("quarter", Some(month)) => format!("{}-Q{}", &date[..4], month.div_ceil(3)),
        ("year", Some(_)) => date[..4].to_owned(),
        // A day may start at 01:00 where the clocks jump at midnight; the range's first day still has its date.
        ("", _) if clock.starts_with("00:00:00") => date.to_owned(),
        ("hour" | "minute", _) => format!("{date} {}", clock.get(..5).unwrap_or(clock)),
        _ => start.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_named() {
        let start = "2026-08-01T00:00:00+05:30";
        for (every, name) in [
            ("day", "2026-08-01"),
            ("week", "2026-08-01"),
            ("month", "2026-08"),
            ("quarter", "2026-Q3"),
            ("year", "2026"),
            ("hour", "2026-08-01 00:00"),
            ("", "2026-08-01"),
            ("fortnight", start),
        ] {
            assert_eq!(shown(start, every), name);
        }
        assert_eq!(shown("soon", "day"), "soon");
        assert_eq!(shown("2026-10-01T01:00:00-03:00", "day"), "2026-10-01");
    }
}
