use super::*;

fn place(text: &str, part: &str) -> Place {
    let start = text.find(part).unwrap();
    Source { file: "f", text }.place(&(start..start + part.len()))
}

#[test]
fn columns_count_characters() {
    let place = place("a: 1\r\nüß: größe\r\nc: 2", "größe");
    assert_eq!((place.line, place.column, place.length), (2, 5, 5));
    assert_eq!(place.snippet, "üß: größe");
}

#[test]
fn a_range_outside_the_text_is_cut() {
    for at in [0..99, 99..120, 3..3] {
        let place = Source { file: "f", text: "aüb" }.place(&at);
        assert_eq!(place.line, 1);
        assert!(place.length >= 1);
    }
}

#[test]
fn long_lines_are_cut_around_the_mark() {
    let text = format!("{}WRONG{}", "ä".repeat(400), "z".repeat(400));
    let diagnostic = place(&text, "WRONG").diagnostic(Severity::Error, code::SYNTAX, "no".to_owned(), None);
    let shown = diagnostic.to_string();
    let lines: Vec<&str> = shown.lines().collect();
    let mark = lines[4].chars().position(|c| c == '^').unwrap();
    assert_eq!(lines[3].chars().skip(mark).take(5).collect::<String>(), "WRONG");
    assert!(lines[3].chars().count() < 180);
}

#[test]
fn near_words_are_found_and_far_ones_are_not() {
    assert_eq!(nearest("statu", ["plan", "status"]), Some("status"));
    assert_eq!(nearest("Timezone", ["time", "timezone"]), Some("timezone"));
    assert_eq!(nearest("colour", ["by", "top"]), None);
}
