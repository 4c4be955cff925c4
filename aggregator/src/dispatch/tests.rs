use tidemill_schemas::definition::parse::parse;

use super::*;

/// A definition with a line of its own.
fn definition(lines: &str) -> Definition {
    let parsed = parse("a.yaml", &format!("insight: a\n{lines}\n")).expect("a valid definition");
    parsed.into_iter().next().expect("one definition").definition
}

/// The rates of the schedules that are armed for a definition, by name.
fn rates(definition: &Definition) -> BTreeMap<String, u32> {
    let now = Timestamp::parse("2026-08-01T12:00:00Z").unwrap();
    let planned = schedules(&Tenant("t".to_owned()), &[definition], now);
    let rate = |planned: Planned| match planned.fires {
        Fires::EveryMinutes(minutes) => Some((planned.name, minutes)),
        Fires::At(_) => None,
    };
    planned.into_iter().filter_map(rate).filter(|(name, _)| name.contains("refresh")).collect()
}

#[test]
fn each_refresh_is_a_rate_of_its_minutes() {
    let words = [("1m", 1), ("5m", 5), ("15m", 15), ("30m", 30), ("1h", 60), ("6h", 360), ("12h", 720)];
    for (word, minutes) in words {
        let standard = format!("type: standard\nfrom: '*'\nmetrics:\n  n: count(*)\nrefresh: {word}");
        assert_eq!(rates(&definition(&standard)), BTreeMap::from([(format!("t.refresh-{word}"), minutes)]), "{word}");
    }
    assert_eq!(words.map(|(word, _)| word), Refresh::ALL.map(Refresh::word));
    let cohort = "type: cohort\nborn: signed_up\nreturns: session_started\nevery: week";
    assert_eq!(rates(&definition(cohort)), BTreeMap::new(), "what is computed once a day has no rate");
}
