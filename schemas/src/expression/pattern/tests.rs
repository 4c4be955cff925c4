use super::*;

fn matches(pattern: &str, text: &str) -> bool {
    compile(pattern).unwrap_or_else(|why| panic!("{pattern}: {why}")).is_match(text)
}

#[test]
fn classes_are_ascii_as_in_re2() {
    for (pattern, text, expected) in [
        (r"^\d+$", "123", true),
        (r"^\d+$", "١٢٣", false),
        (r"^\w+$", "naïve", false),
        (r"^\W$", "ï", true),
        (r"\s", "\u{a0}", false),
        (r"^[\d.]+$", "1.5", true),
        (r"^[^\s]+$", "a b", false),
        (r"\bü", "aü", true),
        ("^[]a]+$", "]a", true),
        ("^[^]a]+$", "]", false),
        ("^[[:alpha:]_]+$", "ab_", true),
        ("^[[]$", "[", true),
        ("a.c", "a\nc", false),
        ("^b", "a\nb", false),
        ("(?i)ÜBER", "über", true),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} on {text:?}");
    }
}

#[test]
fn what_engines_disagree_on_is_refused() {
    for pattern in [r"a\B", r"\<a", r"\b{start}", "[a&&b]", "[a~~b]", "(", "a{1000}{1000}", "\\", "(?<=a)b", r"(a)\1"] {
        assert!(compile(pattern).is_err(), "{pattern}");
    }
    assert!(compile(&"a".repeat(REGEX_BYTES_MAX + 1)).is_err());
}
