//! Laws of [`Schedule`]: what is kept. When it fires is each runner's, by the arithmetic of [`When`].

use std::sync::Arc;

use bytes::Bytes;
use tidemill_ports::{Entry, Error, Schedule, When};
use tidemill_schemas::time::Timestamp;

/// The schedule under test.
pub type Subject = Arc<dyn Schedule>;

fn entry(name: &str, when: When) -> Entry {
    Entry { name: name.to_owned(), when, payload: Bytes::from(format!("payload of {name}")) }
}

/// Everything that was put is there, as it was put.
pub async fn what_is_put_is_listed_by_name(schedule: &Subject) {
    let once = entry("b", When::At(Timestamp::from_micros(7)));
    let often = entry("a", When::EveryMinutes(5));
    schedule.put(once.clone()).await.expect("a put");
    schedule.put(often.clone()).await.expect("a put");
    assert_eq!(schedule.list().await, Ok(vec![often, once]));
}

/// A name has one entry.
pub async fn putting_a_name_again_replaces_it(schedule: &Subject) {
    for when in [When::EveryMinutes(5), When::EveryMinutes(5), When::At(Timestamp::MAX), When::EveryMinutes(1)] {
        let put = entry("a", when);
        schedule.put(put.clone()).await.expect("a put");
        assert_eq!(schedule.list().await, Ok(vec![put]));
    }
    let other = Entry { payload: Bytes::from_static(b"other"), ..entry("a", When::EveryMinutes(1)) };
    schedule.put(other.clone()).await.expect("a put");
    assert_eq!(schedule.list().await, Ok(vec![other]));
}

/// What is not there can be removed.
pub async fn removing_is_idempotent(schedule: &Subject) {
    schedule.put(entry("a", When::EveryMinutes(5))).await.expect("a put");
    for _ in 0..2 {
        schedule.remove("a").await.expect("a removal");
        assert_eq!(schedule.list().await, Ok(Vec::new()));
    }
}

/// Every zero minutes is no rate.
pub async fn a_rate_of_nothing_is_invalid(schedule: &Subject) {
    assert!(matches!(schedule.put(entry("a", When::EveryMinutes(0))).await, Err(Error::Invalid(_))));
    assert_eq!(schedule.list().await, Ok(Vec::new()));
}
