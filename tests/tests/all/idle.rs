//! Idle: what is called while events come, after they stop, and then for a month: nothing.

use tidemill_ports::Schedule;
use tidemill_ports::counted::Counts;
use tidemill_schemas::time::Timestamp;
use tidemill_tests::generator::Random;
use tidemill_tests::world::World;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap_or_else(|| panic!("{text} is no time"))
}

const INSIGHTS: [(&str, &str); 3] = [
    ("orders", "insight: orders\nrefresh: 1m\ntype: standard\nfrom: order\nmetrics: { n: count(*) }\nby: [country]\n"),
    ("buyers", "insight: buyers\nrefresh: 15m\ntype: standard\nfrom: order\nmetrics: { n: count(distinct actor) }\n"),
    (
        "funnel",
        "insight: funnel\nrefresh: 1h\ntype: funnel\nsteps: [order, refund]\ntimezone: Asia/Kolkata\nwithin: 7d\n",
    ),
];

/// Lets time pass, and tells what was called meanwhile.
async fn lived(world: &mut World, until: &str, what: &str, audit: &mut Vec<String>) -> Counts {
    drop(world.counter.take());
    let firings = world.firings.len();
    world.live_until(at(until), &mut Random::of(3), 0).await;
    let counts = world.counter.take();
    audit.push(format!("{what:<44} {:>8} port calls {:>8} firings", counts.calls(), world.firings.len() - firings));
    for ((call, about), tally) in &counts.0 {
        audit.push(format!(
            "    {:<24} {about:<20} {:>8} calls {:>8} units",
            format!("{call:?}"),
            tally.calls,
            tally.units
        ));
    }
    counts
}

#[tokio::test]
async fn a_quiet_month_asks_nothing_of_any_port() {
    let mut world = World::new(at("2026-12-01T12:00:00Z"), 4);
    for (name, text) in INSIGHTS {
        world.apply(name, text).await;
    }
    let mut audit = Vec::new();
    for minute in 0..20 {
        let time = format!("2026-12-01T12:{minute:02}:00Z");
        world.live_until(at(&time), &mut Random::of(1), 0).await;
        let lines: String = (0..5)
            .map(|nth| {
                format!(
                    "{{\"id\":\"{minute}-{nth}\",\"name\":\"order\",\"actor\":\"u{nth}\",\"time\":\"{time}\",\
                     \"properties\":{{\"country\":\"IN\"}}}}\n"
                )
            })
            .collect();
        world.send(&lines).await;
    }
    let busy = lived(&mut world, "2026-12-01T12:30:00Z", "events stop", &mut audit).await;
    assert!(busy.calls() > 0);
    lived(&mut world, "2026-12-03T00:00:00Z", "what repeats is disarmed, the day rolled up", &mut audit).await;
    lived(&mut world, "2027-01-01T12:00:00Z", "week, month, quarter and year, once each", &mut audit).await;
    assert_eq!(world.ports.schedule.list().await, Ok(vec![]), "nothing is armed any more");
    let quiet = lived(&mut world, "2027-02-01T12:00:00Z", "a quiet month", &mut audit).await;
    println!("{}", audit.join("\n"));
    assert_eq!(quiet, Counts::default(), "a quiet month asks nothing");
}
