use tidemill_schemas::calendar::Date;

use super::*;

fn unit(period: Period) -> Unit {
    let day = Date::constant(2026, 3, 1);
    let amount = Amount { rows: 10, days: 1, ..Amount::default() };
    Unit { period, at: day, members: vec![(0, day, day), (1, day, day)], count: 2, amount }
}

fn units(days: usize, weeks: usize) -> Vec<Unit> {
    let all = std::iter::repeat_n(Period::Day, days).chain(std::iter::repeat_n(Period::Week, weeks));
    all.map(unit).collect()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(0).plus_seconds(seconds)
}

fn report(member: u32, failure: Option<&str>) -> RequestOutcome {
    let day = Date::constant(2026, 3, 1);
    RequestOutcome {
        insight: format!("i{member}"),
        first: day,
        last: day,
        period: Period::Day,
        failure: failure.map(str::to_owned),
    }
}

/// The reports of whole units, with their epochs.
fn reports(of: &[(u32, u32, Option<&str>)]) -> Seen {
    let both = |epoch, failure| vec![(epoch, report(0, None)), (epoch, report(1, failure))];
    let reports = of.iter().map(|&(unit, epoch, failure)| (unit, both(epoch, failure))).collect();
    Seen { reports, ..Seen::default() }
}

fn in_flight(wave: &Wave) -> Vec<(u32, u32)> {
    wave.leases.iter().map(|lease| (lease.unit, lease.epoch)).collect()
}

#[test]
fn a_budget_is_leased_and_a_step_taken_twice_changes_nothing() {
    let units = units(5, 0);
    let wave = Wave::begin(2, at(0)).step(&units, &Seen::default(), at(1));
    assert_eq!(in_flight(&wave), [(0, 1), (1, 1)]);
    assert_eq!(wave.step(&units, &Seen::default(), at(2)), wave);
    let seen = reports(&[(0, 1, None)]);
    let next = wave.step(&units, &seen, at(3));
    assert_eq!(in_flight(&next), [(1, 1), (2, 1)]);
    assert_eq!(next.step(&units, &seen, at(4)), next);
    assert_eq!(next.active_micros, 2_000_000);
}

#[test]
fn half_a_report_ends_nothing() {
    let units = units(2, 0);
    let wave = Wave::begin(1, at(0)).step(&units, &Seen::default(), at(1));
    let half = Seen { reports: [(0, vec![(1, report(0, None))])].into(), ..Seen::default() };
    assert_eq!(wave.step(&units, &half, at(2)), wave);
}

#[test]
fn a_lease_that_ran_out_is_granted_anew_and_the_old_epoch_is_not_heard() {
    let units = units(2, 0);
    let wave = Wave::begin(1, at(0)).step(&units, &Seen::default(), at(0));
    let again = wave.step(&units, &Seen::default(), at(LEASE_SECONDS));
    assert_eq!(in_flight(&again), [(0, 2)]);
    assert!(!again.leases[0].sent, "it is to be sent anew");
    let old = again.step(&units, &reports(&[(0, 1, None)]), at(LEASE_SECONDS + 1));
    assert_eq!(old, again, "a superseded epoch's report changes nothing");
    let new = again.step(&units, &reports(&[(0, 2, None)]), at(LEASE_SECONDS + 2));
    assert_eq!(in_flight(&new), [(1, 1)]);
    let gone = Seen { orphaned: true, ..Seen::default() };
    assert_eq!(in_flight(&new.step(&units, &gone, at(LEASE_SECONDS + 3))), [(1, 2)], "whoever had it is gone");
}

#[test]
fn a_unit_nobody_ends_fails_at_last() {
    let units = units(1, 0);
    let mut wave = Wave::begin(1, at(0)).step(&units, &Seen::default(), at(0));
    for round in 1..=i64::from(EXPIRIES_MAX) {
        wave = wave.step(&units, &Seen::default(), at(round * LEASE_SECONDS));
    }
    assert_eq!(wave.state, State::Failed);
    assert!(wave.failed[0].why.as_ref().is_some_and(|why| why.contains("leases")), "{wave:?}");
}

#[test]
fn a_phase_waits_for_the_one_before() {
    let units = units(2, 1);
    let wave = Wave::begin(8, at(0)).step(&units, &Seen::default(), at(0));
    assert_eq!(in_flight(&wave), [(0, 1), (1, 1)]);
    let wave = wave.step(&units, &reports(&[(1, 1, None)]), at(1));
    assert_eq!((in_flight(&wave), wave.has_all_days(&units)), (vec![(0, 1)], false));
    let wave = wave.step(&units, &reports(&[(0, 1, None)]), at(2));
    assert_eq!((in_flight(&wave), wave.has_all_days(&units)), (vec![(2, 1)], true));
    assert_eq!(wave.phase(&units), Some(Period::Week));
    let wave = wave.step(&units, &reports(&[(2, 1, None)]), at(3));
    assert_eq!((wave.state, wave.phase(&units), wave.wakes_at()), (State::Done, None, None));
}

#[test]
fn what_failed_is_told_and_run_again() {
    let units = units(2, 0);
    let wave = Wave::begin(2, at(0)).step(&units, &Seen::default(), at(0));
    let wave = wave.step(&units, &reports(&[(0, 1, Some("too many groups")), (1, 1, None)]), at(1));
    assert_eq!((wave.state, wave.failed.len(), wave.done_units().count()), (State::Failed, 1, 1));
    let wave = wave.resumed(Some(3)).step(&units, &Seen::default(), at(2));
    assert_eq!((in_flight(&wave), wave.budget), (vec![(0, 2)], 3));
    let wave = wave.step(&units, &reports(&[(0, 2, None)]), at(3));
    assert_eq!((wave.state, wave.done_units().count()), (State::Done, 2));
}

#[test]
fn cancelled_leases_nothing_new_and_can_go_on() {
    let units = units(4, 0);
    let wave = Wave::begin(2, at(0)).step(&units, &Seen::default(), at(0)).cancelled();
    let wave = wave.step(&units, &reports(&[(0, 1, None)]), at(1));
    assert_eq!((in_flight(&wave), wave.state), (vec![(1, 1)], State::Cancelled));
    let wave = wave.step(&units, &Seen::default(), at(LEASE_SECONDS));
    assert_eq!((in_flight(&wave), wave.again.clone(), wave.wakes_at()), (vec![], vec![(1, 1)], None));
    let wave = wave.resumed(None).step(&units, &Seen::default(), at(LEASE_SECONDS + 1));
    assert_eq!(in_flight(&wave), [(1, 2), (2, 1)]);
}

#[test]
fn engines_that_work_at_once_are_seen() {
    let mut wave = Wave::begin(4, at(0));
    wave.see_engines(2_000_000, at(2));
    assert_eq!(wave.engines, 1);
    wave.see_engines(1_000_000, at(3));
    assert_eq!(wave.engines, 1, "one after the other");
    wave.see_engines(3_500_000, at(4));
    assert_eq!(wave.engines, 2, "one beside both");
}

/// A random run: units end, fail, get lost, their leases run out, the project is opened anew, somebody cancels.
fn run(seed: u64) {
    let mut state = seed;
    let mut below = |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    };
    let (count, budget) = (1 + below(30) as usize, 1 + below(6) as u32);
    let units = units(count, below(6) as usize);
    let mut wave = Wave::begin(budget, at(0));
    let mut seconds = 0;
    for _ in 0..10_000 {
        let mut seen = Seen::default();
        for &Leased { unit, epoch, .. } in &wave.leases {
            // Reports of any epoch there ever was.
            let epoch = epoch - below(2).min(u64::from(epoch - 1)) as u32;
            if below(3) == 0 {
                let failure = (below(5) == 0).then_some("no");
                seen.reports.extend(reports(&[(unit, epoch, failure)]).reports);
            }
        }
        seen.orphaned = below(20) == 0;
        seconds += if below(10) == 0 { LEASE_SECONDS } else { 1 };
        let before = wave.done_units().count();
        wave = wave.step(&units, &seen, at(seconds));
        assert!(wave.leases.len() <= budget as usize && wave.high_water <= budget, "seed {seed}: {wave:?}");
        assert!(wave.done_units().count() >= before, "seed {seed}: what is done stays done");
        let open: BTreeSet<u32> = wave.leases.iter().map(|lease| lease.unit).collect();
        assert_eq!(open.len(), wave.leases.len(), "seed {seed}: no unit is leased twice: {wave:?}");
        match wave.state {
            State::Done => {
                assert_eq!(wave.done_units().count(), units.len(), "seed {seed}");
                return;
            }
            State::Failed => wave = wave.resumed(None),
            State::Cancelled if below(3) == 0 => wave = wave.resumed(None),
            State::Running if below(40) == 0 => wave = wave.cancelled(),
            _ => {}
        }
    }
    panic!("seed {seed}: it never ends: {wave:?}");
}

#[test]
fn no_run_leases_above_its_budget_and_every_run_ends() {
    (0..500).for_each(run);
}

/// What earlier versions wrote loads for ever.
#[test]
fn stored_waves_load() {
    let stored = r#"{"format":1,"budget":4,"state":"running","next":7,"leases":[{"unit":6,"epoch":2,"until":1800000000,"sent":true,"expiries":1}],"again":[[3,1]],"failed":[{"unit":2,"epoch":1,"why":null}],"high_water":4,"active_micros":1500000,"stepped_at":5,"anchor":{"active_micros":7,"done":{"rows":1,"days":2,"folds":0,"periods":0}},"months":{"2026-02-01":{"amount":{"rows":1,"days":2,"folds":0,"periods":0},"micros":9}},"folding":{"amount":{"rows":0,"days":0,"folds":0,"periods":0},"micros":0},"engines":2,"recent":[[1,5]]}"#;
    let read: Wave = serde_json::from_str(stored).expect("it loads");
    assert_eq!(serde_json::to_string(&read).expect("it is written"), stored);
}
