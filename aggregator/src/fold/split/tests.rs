use super::*;

fn listed(day: &DayRows) -> Vec<u32> {
    let mut rows = Vec::new();
    day.rows.which().each(|row| rows.push(row as u32));
    rows
}

fn split(zone: &str, times: &[&str]) -> Vec<(String, Vec<u32>)> {
    let mut splitter = Splitter::new(Zone::named(zone).unwrap());
    let micros: Vec<i64> = times.iter().map(|time| Timestamp::parse(time).unwrap().micros()).collect();
    let days = splitter.split(&micros, Which::All(times.len()));
    days.into_iter().map(|day| (day.date.to_string(), listed(&day))).collect()
}

#[test]
fn days_of_23_and_25_hours_end_where_the_zone_says() {
    let spring = ["2026-03-28T22:59:59Z", "2026-03-28T23:00:00Z", "2026-03-29T21:59:59Z", "2026-03-29T22:00:00Z"];
    assert_eq!(
        split("Europe/Berlin", &spring),
        [("2026-03-28".into(), vec![0]), ("2026-03-29".into(), vec![1, 2]), ("2026-03-30".into(), vec![3])]
    );
    let autumn = ["2026-10-25T22:59:59Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "2026-10-24T21:59:59Z"];
    assert_eq!(
        split("Europe/Berlin", &autumn),
        [("2026-10-24".into(), vec![3]), ("2026-10-25".into(), vec![0, 1]), ("2026-10-26".into(), vec![2])]
    );
}

#[test]
fn every_instant_lies_in_its_window_even_where_clocks_go_back_across_midnight() {
    // Newfoundland went from 00:01 back to 23:01 of the day before.
    let zone = Zone::named("America/St_Johns").unwrap();
    let start = Timestamp::parse("2010-11-07T00:00:00Z").unwrap();
    let micros: Vec<i64> = (0..48 * 60).map(|minute| start.plus_seconds(minute * 60).micros()).collect();
    let mut splitter = Splitter::new(zone.clone());
    let days = splitter.split(&micros, Which::All(micros.len()));
    for day in &days {
        assert_eq!(day.window, zone.day(day.date));
        assert!(listed(day).iter().all(|row| day.window.contains(Timestamp::from_micros(micros[*row as usize]))));
    }
    assert_eq!(days.iter().map(|day| day.rows.which().len()).sum::<usize>(), micros.len());
}
