use super::*;

fn usage(events: f64, units: &[(What, &str, f64)]) -> Usage {
    Usage { events, units: units.iter().map(|(what, about, units)| ((*what, (*about).to_owned()), *units)).collect() }
}

#[test]
fn other_numbers_of_events_lie_on_the_line() {
    let small = usage(1e6, &[(What::TableWrite, "event", 1e6), (What::LambdaInvocation, "seal", 500.0)]);
    let large = usage(
        3e6,
        &[(What::TableWrite, "event", 3e6), (What::LambdaInvocation, "seal", 500.0), (What::KinesisShard, "", 1.2)],
    );
    let at = small.at(&large, 10e6);
    assert!((at.sum(What::TableWrite) - 10e6).abs() < 1.0);
    assert!((at.sum(What::LambdaInvocation) - 500.0).abs() < 1e-6);
    assert!((at.sum(What::KinesisShard) - 6.0).abs() < 1e-9, "{at:?}");
    assert_eq!(small.at(&large, 1e6).sum(What::TableWrite), 1e6);
}

#[test]
fn a_function_is_billed_for_its_share_of_a_processor_and_for_waiting() {
    let mut work = Work { invocations: 10, cpu_nanos: 1_000_000_000, ..Work::default() };
    let alone = seconds(Function::Changes, &work, Options::default());
    assert!((alone - (1769.0 / 1024.0 + 0.02)).abs() < 1e-9, "{alone}");
    // Two processors of one thread's work are no faster than one.
    let engine = seconds(Function::Engine, &work, Options::default());
    assert!((engine - 1.02).abs() < 1e-9, "{engine}");
    let tally = tidemill_ports::counted::Tally { calls: 4, units: 4, bytes: 0, trips: 4 };
    work.counts.0.insert((Call::BlobGet, "pages".to_owned()), tally);
    let slow = seconds(Function::Engine, &work, Options::default());
    let fast = seconds(Function::Engine, &work, Options { fast: true, ..Options::default() });
    assert!((slow - engine - 0.1 - 0.0008).abs() < 1e-9, "{slow}");
    assert!((slow - fast - 0.076).abs() < 1e-9, "{fast}");
}

#[test]
fn an_idle_month_pays_for_what_is_kept_and_for_polls() {
    let month = usage(1e6, &[(What::TableWrite, "event", 1e6), (What::TableStorage, "event", 3.0)]);
    let idle = month.idle();
    assert_eq!(idle.sum(What::TableWrite), 0.0);
    assert_eq!(idle.sum(What::TableStorage), 3.0);
    assert_eq!(idle.sum(What::QueueRequest), QUEUE_POLLS);
}
