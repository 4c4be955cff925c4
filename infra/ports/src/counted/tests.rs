use super::*;

#[test]
fn counts_add_up_by_kind_and_by_what_they_are_about() {
    let mut counts = Counts::default();
    let tally = |units, bytes| Tally { calls: 1, units, bytes, trips: 1 };
    counts.note(Call::TablePut, "event", tally(1, 300));
    counts.note(Call::TablePut, "event", tally(2, 1_500));
    counts.note(Call::TablePut, "total", tally(1, 90));
    counts.note(Call::TableGet, "total", tally(1, 90));
    assert_eq!(counts.of(Call::TablePut), Tally { calls: 3, units: 4, bytes: 1_890, trips: 3 });
    assert_eq!(counts.calls(), 4);
    let mut twice = counts.clone();
    twice.add(&counts);
    assert_eq!(twice.of(Call::TablePut), Tally { calls: 6, units: 8, bytes: 3_780, trips: 6 });
    assert_eq!(twice.of(Call::QueueSend), Tally::default());
}
