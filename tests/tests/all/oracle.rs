//! What must be true of the oracle's own answers, in any world. The engine is held against the oracle elsewhere; here
//! the oracle is held against itself.

use tidemill_schemas::calendar::{Period, WeekStart, Zone};
use tidemill_schemas::decimal::Decimal;
use tidemill_schemas::definition::{Body, Definition, From, Refresh, Standard};
use tidemill_schemas::event::Event;
use tidemill_schemas::expression::{Column, Expr, Read};
use tidemill_schemas::metric::{Function, Metric};
use tidemill_schemas::value::Type;
use tidemill_tests::generator::{Random, World};
use tidemill_tests::oracle::{Answer, Question, Row, answer};

/// Worlds each property is tried in.
const WORLDS: u64 = 25;
/// Identities of a world.
const WORLD_EVENTS: usize = 150;

fn definition(world: &World) -> Definition {
    let property = |key: &str, at| Expr::Read(Read { column: Column::Property(key.to_owned()), at });
    let metric = |name: &str, function| Metric { name: name.to_owned(), function, filter: None };
    Definition {
        name: "any".to_owned(),
        title: None,
        owner: None,
        source: None,
        timezone: Zone::named(world.scene.zone).expect("scenes have known zones"),
        week_start: WeekStart::Sunday,
        refresh: Refresh::Minutes5,
        by: vec![Column::Property("country".to_owned()), Column::Property("plan".to_owned())],
        top: 3,
        alerts: Vec::new(),
        body: Body::Standard(Standard {
            from: From::All,
            filter: None,
            metrics: vec![
                metric("n", Function::Count),
                metric("sum", Function::Sum(property("amount", Some(Type::Number)))),
                metric("users", Function::CountDistinct(property("user_id", None))),
            ],
        }),
    }
}

fn ask(world: &World, arrivals: &[Event], every: Option<Period>, grouped: bool) -> Answer {
    let definition = definition(world);
    let by = if grouped { definition.by.clone() } else { Vec::new() };
    let question = Question { first: world.first, last: world.last, every, by, top: 3 };
    answer(&definition, arrivals, &question).unwrap_or_else(|overflow| panic!("seed {}: {overflow:?}", world.seed))
}

fn total(rows: &[Row], metric: &str) -> Decimal {
    let cells = rows.iter().flat_map(|row| row.iter().filter(|(name, _)| name == metric));
    cells
        .filter_map(|(_, cell)| Decimal::parse(cell).ok())
        .fold(Decimal::ZERO, |sum, cell| sum.checked_add(cell).expect("worlds add up"))
}

fn worlds() -> impl Iterator<Item = World> {
    (0..WORLDS).map(|seed| World::of(seed, WORLD_EVENTS))
}

#[test]
fn the_order_of_arrival_does_not_matter() {
    for world in worlds() {
        let mut shuffled = world.arrivals.clone();
        Random::of(world.seed).shuffle(&mut shuffled);
        for every in [None, Some(Period::Day), Some(Period::Week)] {
            let (sent, shuffled) = (ask(&world, &world.arrivals, every, true), ask(&world, &shuffled, every, true));
            assert_eq!(sent.rows, shuffled.rows, "seed {}", world.seed);
        }
    }
}

#[test]
fn sending_everything_twice_changes_nothing() {
    for world in worlds() {
        let twice = [world.arrivals.clone(), world.arrivals.clone()].concat();
        let day = Some(Period::Day);
        assert_eq!(ask(&world, &world.arrivals, day, true), ask(&world, &twice, day, true), "seed {}", world.seed);
    }
}

#[test]
fn days_and_groups_add_up() {
    for world in worlds() {
        let whole = ask(&world, &world.arrivals, None, false).rows;
        assert!(total(&whole, "n") > Decimal::ZERO, "seed {}: an empty world proves nothing", world.seed);
        for every in [None, Some(Period::Day), Some(Period::Month), Some(Period::Year)] {
            for grouped in [false, true] {
                let rows = ask(&world, &world.arrivals, every, grouped).rows;
                for metric in ["n", "sum"] {
                    let seed = world.seed;
                    assert_eq!(
                        total(&rows, metric),
                        total(&whole, metric),
                        "seed {seed} {every:?} {grouped}: {metric}"
                    );
                }
            }
        }
    }
}
