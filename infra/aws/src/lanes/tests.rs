use super::*;

fn shard(id: &str, parent: Option<&str>) -> StreamShard {
    StreamShard { id: id.to_owned(), parent: parent.map(str::to_owned), last: None }
}

fn lanes(lanes: &Lanes, shards: &[&str]) -> Vec<String> {
    shards.iter().map(|shard| lanes.of(shard).unwrap_or("none").to_owned()).collect()
}

#[test]
fn a_child_takes_over_its_parents_lane() {
    let first = Lanes::default().with(&[shard("a", None)]);
    let then = first.with(&[shard("a", None), shard("b", Some("a")), shard("c", Some("b"))]);
    assert_eq!(lanes(&then, &["a", "b", "c"]), ["a", "a", "a"]);
}

#[test]
fn of_two_children_one_begins_a_lane() {
    let split = Lanes::default().with(&[shard("c", Some("a")), shard("b", Some("a")), shard("a", None)]);
    assert_eq!(lanes(&split, &["a", "b", "c"]), ["a", "a", "c"]);
    let later = split.with(&[shard("d", Some("c")), shard("b", Some("a")), shard("c", Some("a"))]);
    assert_eq!(lanes(&later, &["b", "c", "d"]), ["a", "c", "c"]);
}

#[test]
fn a_shard_whose_parent_was_never_seen_takes_a_lane_that_is_gone() {
    let seen = Lanes::default().with(&[shard("a", None), shard("b", None)]);
    // A day of silence: the shards between were never looked at.
    let after = seen.with(&[shard("m", Some("k")), shard("n", Some("l")), shard("o", None)]);
    assert_eq!(lanes(&after, &["m", "n", "o"]), ["a", "b", "o"]);
}

#[test]
fn a_lane_is_not_taken_while_its_shards_can_be_read() {
    let seen = Lanes::default().with(&[shard("a", None)]);
    let both = seen.with(&[shard("a", None), shard("z", Some("y"))]);
    assert_eq!(lanes(&both, &["a", "z"]), ["a", "z"]);
}

#[test]
fn a_year_of_rolling_shards_keeps_as_many_lanes_as_there_are_shards_at_once() {
    let mut known = Lanes::default();
    let name = |line: usize, roll: usize| format!("{roll:05}-{line}");
    for roll in 0..2190_usize {
        let listed: Vec<StreamShard> = (0..4)
            .flat_map(|line| {
                let first: usize = roll.saturating_sub(6);
                (first..=roll).map(move |at| (line, at))
            })
            .map(|(line, at)| {
                let parent = (at > 0).then(|| name(line, at - 1));
                StreamShard { id: name(line, at), parent, last: None }
            })
            .collect();
        known = known.with(&listed);
    }
    let all: BTreeSet<&String> = known.shards.values().collect();
    assert_eq!(all.len(), 4);
    assert!(known.shards.len() <= 4 * 8, "{} shards are remembered", known.shards.len());
}

#[test]
fn whoever_lists_the_same_shards_comes_to_the_same_lanes() {
    let mut listed = vec![shard("a", None), shard("c", Some("a")), shard("b", Some("a")), shard("d", Some("c"))];
    let one = Lanes::default().with(&listed);
    listed.reverse();
    assert_eq!(one, Lanes::default().with(&listed));
}

#[test]
fn shards_that_are_each_others_parents_still_get_lanes() {
    let round = Lanes::default().with(&[shard("a", Some("b")), shard("b", Some("a"))]);
    assert!(round.of("a").is_some() && round.of("b").is_some());
}
