use super::*;
use tidemill_ports::counted::Call;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_day_is_lived_through_and_counted() {
    let workload = Workload::reference();
    let shape = Shape { shards: 2, ..Shape::default() };
    let day = live(&workload, 600, shape, &mut |_| {}).await.expect("a day");
    assert!(day.events.abs_diff(600) <= 20, "{}", day.events);
    let of = |function| day.functions.get(&function).cloned().unwrap_or_default();
    // One put and no check for each event.
    let api = of(Function::Api).counts;
    let puts = api.0.get(&(Call::TablePut, "event".to_owned())).copied().unwrap_or_default();
    assert_eq!(puts.calls, day.events, "{api:?}");
    assert_eq!((api.of(Call::TableCheck).calls, api.of(Call::TableGroup).calls), (0, 0));
    assert_eq!(of(Function::Api).invocations, day.events / 20);
    for function in [Function::Changes, Function::Seal, Function::Dispatcher, Function::Engine] {
        assert!(of(function).invocations > 20, "{function:?}: {:?}", of(function));
    }
    assert!(day.firings > 1_000 && day.queue_deliveries > 100, "{} {}", day.firings, day.queue_deliveries);
    assert!(day.blob_bytes["pages"] > 1_000.0, "{:?}", day.blob_bytes);
}
