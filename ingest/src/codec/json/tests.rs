use proptest::prelude::*;

use super::*;

/// Whether the whole text is one JSON value by our scanner.
fn ours(text: &str) -> bool {
    let mut scanner = Scanner::new(text, 0);
    scanner.skip().is_ok() && scanner.peek().is_none()
}

/// The same by serde_json, without its depth limit getting in the way: texts here are shallow.
fn theirs(text: &str) -> bool {
    serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
}

/// Text made of what JSON is made of, so that a good part of it is nearly valid.
fn nearly_json() -> impl Strategy<Value = String> {
    const BITS: [&str; 34] = [
        "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"b\":", "1", "-", "0", "01", "1.5", "1.", ".5", "e", "1e5",
        "1E-2", "true", "false", "null", "tru", " ", "\n", "\t", "\\", "\\n", "\\u00e9", "\\x", "\u{1}", "é", "{}",
        "[]",
    ];
    proptest::collection::vec(0..BITS.len(), 0..12).prop_map(|picks| picks.into_iter().map(|at| BITS[at]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn agrees_with_serde_json_on_what_is_json(text in nearly_json()) {
        prop_assert_eq!(ours(&text), theirs(&text), "{}", text);
    }

    #[test]
    fn any_text_is_scanned_without_panic(text in any::<String>()) {
        prop_assert_eq!(ours(&text), theirs(&text));
        let mut scanner = Scanner::new(&text, 0);
        let _ = scanner.string();
        let _ = scanner.number();
    }

    #[test]
    fn text_is_written_and_read_back(text in any::<String>()) {
        let mut out = String::new();
        write_text(&mut out, &text);
        prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text.clone());
        prop_assert_eq!(Scanner::new(&out, 0).string().unwrap(), text);
    }

    #[test]
    fn strings_read_as_serde_json_reads_them(text in "\"(\\\\[\"\\\\/bfnrtu]|[0-9a-fD8]{1,4}|é|x){0,8}\"") {
        match serde_json::from_str::<String>(&text) {
            Ok(expected) => prop_assert_eq!(Scanner::new(&text, 0).string().unwrap(), expected),
            Err(_) => {
                let mut scanner = Scanner::new(&text, 0);
                prop_assert!(scanner.string().is_err() || scanner.peek().is_some());
            }
        }
    }
}

#[test]
fn no_depth_overflows_the_stack() {
    let deep = 100_000;
    let text = "[".repeat(deep) + &"]".repeat(deep);
    assert!(ours(&text));
    assert!(!ours(&"{\"a\":".repeat(deep)));
}
