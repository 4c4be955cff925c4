use super::*;

fn gate(announced: Option<Announced>) -> Gate {
    Gate { format: 1, at: at(0), closing_until: None, announced, runs: Vec::new() }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * MICROS_PER_SECOND)
}

#[test]
fn where_checks_are_free_nobody_waits() {
    for announced in [None, Some(Announced::Sent), Some(Announced::Seen(at(0)))] {
        assert_eq!(next_step(Some(&gate(announced)), false, at(0)), Step::Close);
    }
    assert_eq!(next_step(None, false, at(0)), Step::Close);
}

#[test]
fn where_they_cost_a_gate_is_announced_seen_and_waited_for() {
    assert_eq!(next_step(None, true, at(7)), Step::Raise(Announced::Sent));
    assert_eq!(next_step(Some(&gate(None)), true, at(7)), Step::Raise(Announced::Sent));
    assert_eq!(next_step(Some(&gate(Some(Announced::Sent))), true, at(7)), Step::Raise(Announced::Seen(at(7))));
    let seen = gate(Some(Announced::Seen(at(10))));
    assert_eq!(next_step(Some(&seen), true, at(10)), Step::Wait(90));
    assert_eq!(next_step(Some(&seen), true, at(99)), Step::Wait(1));
    assert_eq!(next_step(Some(&seen), true, at(100)), Step::Close);
    // A clock that went backwards waits longer.
    assert_eq!(next_step(Some(&seen), true, at(0)), Step::Wait(100));
}

#[test]
fn an_announcement_in_vain_ends() {
    assert!(!gate(None).is_abandoned(at(1_000_000)));
    assert!(!gate(Some(Announced::Sent)).is_abandoned(at(3_599)));
    assert!(gate(Some(Announced::Sent)).is_abandoned(at(3_600)));
    assert!(!gate(Some(Announced::Seen(at(50)))).is_abandoned(at(3_649)));
    assert!(gate(Some(Announced::Seen(at(50)))).is_abandoned(at(3_650)));
}

#[test]
fn a_gate_of_before_announcements_loads_and_is_written_as_before() {
    let old = r#"{"format":1,"at":5,"closing_until":null,"runs":[]}"#;
    let read: Gate = serde_json::from_str(old).expect("readable");
    assert_eq!(read.announced, None);
    assert_eq!(serde_json::to_string(&read).expect("writable"), old);
}
