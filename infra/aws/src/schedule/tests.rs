use super::*;

#[test]
fn names_fit_the_service_and_stay_apart() {
    let long = "x".repeat(200);
    let names = ["main.rollup-week-monday-America.Argentina.Buenos_Aires", "a/b", "a_b", "", "ü", long.as_str()];
    let mapped: std::collections::BTreeSet<String> = names.iter().map(|name| name_of(name)).collect();
    assert_eq!(mapped.len(), names.len());
    for name in mapped {
        assert!(name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)), "{name}");
    }
}

#[test]
fn an_instant_within_a_second_is_waited_for() {
    let at = |micros| expression(When::At(Timestamp::from_micros(micros)));
    assert_eq!(at(1_700_000_000_000_000), "at(2023-11-14T22:13:20)");
    assert_eq!(at(1_700_000_000_000_001), "at(2023-11-14T22:13:21)");
    assert_eq!(expression(When::EveryMinutes(1)), "rate(1 minute)");
    assert_eq!(expression(When::EveryMinutes(15)), "rate(15 minutes)");
}

#[test]
fn what_fires_says_its_own_instant() {
    let at = Timestamp::from_millis(1_700_000_000_123);
    let entry = Entry { name: "n".to_owned(), when: When::At(at), payload: Bytes::from_static(b"\x00p") };
    let fired: Fired =
        serde_json::from_str(&serde_json::to_string(&Fired::of(&entry)).expect("a value")).expect("what was written");
    assert_eq!(fired.scheduled_at(), Some(at));
    assert_eq!(fired.payload(), Ok(entry.payload));
    let rate = Fired::of(&Entry {
        when: When::EveryMinutes(1),
        ..Entry { name: String::new(), when: When::At(at), payload: Bytes::new() }
    });
    assert_eq!(rate.scheduled_at(), None);
}
