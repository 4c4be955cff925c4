use super::*;

fn minute(minutes: i64) -> Timestamp {
    Timestamp::from_micros(0).plus_seconds(minutes * 60)
}

#[test]
fn a_rate_fires_first_after_one_period() {
    let every = When::EveryMinutes(5);
    assert_eq!(every.due(minute(0), None, minute(4)), None);
    assert_eq!(every.due(minute(0), None, minute(5)), Some(minute(5)));
    assert_eq!(every.next(minute(0), None), Some(minute(5)));
    assert_eq!(every.next(minute(0), Some(minute(5))), Some(minute(10)));
}

#[test]
fn of_missed_firings_only_the_latest_is_due() {
    let every = When::EveryMinutes(5);
    assert_eq!(every.due(minute(1), Some(minute(6)), minute(63)), Some(minute(61)));
    assert_eq!(every.due(minute(1), Some(minute(61)), minute(63)), None);
}

#[test]
fn an_instant_fires_once_however_late() {
    let at = When::At(minute(3));
    assert_eq!(at.due(minute(9), None, minute(2)), None);
    assert_eq!(at.due(minute(9), None, minute(100)), Some(minute(3)));
    assert_eq!(at.due(minute(9), Some(minute(3)), minute(100)), None);
    assert_eq!(at.next(minute(9), Some(minute(3))), None);
}

#[test]
fn a_rate_of_nothing_is_refused() {
    assert!(matches!(When::EveryMinutes(0).check(), Err(Error::Invalid(_))));
    assert_eq!(When::EveryMinutes(1).check(), Ok(()));
}
