use super::*;

fn table(cells: &[&str]) -> Vec<Table> {
    vec![vec![cells.iter().map(|cell| (*cell).to_owned()).collect()]]
}

#[test]
fn exact_numbers_are_equal_or_not() {
    for (a, b, same) in [
        ("n:12.50", "n:12.5", true),
        ("n:120", "n:12", false),
        ("n:12.5", "n:12.500001", false),
        ("n:2437.048812", "f:2437.048812075612", true),
        ("n:2437.048812", "f:2437.04882", false),
        ("f:0.99578589196", "f:0.99578589197", true),
        ("f:1000000.0", "f:1000000.1", false),
        ("t:12", "n:12", false),
        ("null", "null", true),
        ("null", "n:0", false),
    ] {
        assert_eq!(difference(&table(&[a]), &table(&[b])).is_none(), same, "{a} {b}");
    }
    assert!(difference(&table(&["n:1"]), &table(&["n:1", "n:2"])).is_some());
    assert!(difference(&table(&["n:1"]), &[]).is_some());
}

#[test]
fn estimates_may_be_off_a_little() {
    assert!(estimate_error(&table(&["n:1", "n:1005"]), &table(&["n:1", "n:1000"])).is_ok());
    assert!(estimate_error(&table(&["n:1020"]), &table(&["n:1000"])).is_err());
    assert!(estimate_error(&table(&["n:1020"]), &[]).is_err());
}
