use super::*;

fn all() -> Vec<(String, String)> {
    let names = [
        "EVENTS_TABLE",
        "ITEMS_TABLE",
        "BUCKET",
        "REQUESTS_URL",
        "DEAD_LETTERS_URL",
        "SCHEDULE_GROUP",
        "SCHEDULE_ROLE_ARN",
        "DISPATCHER_ARN",
        "UPKEEP_ARN",
    ];
    names.iter().map(|name| (format!("TIDEMILL_{name}"), name.to_lowercase())).collect()
}

#[test]
fn every_missing_name_is_told_at_once() {
    let told = Settings::read([("TIDEMILL_BUCKET".to_owned(), "b".to_owned())]).expect_err("names are missing");
    assert!(told.contains("TIDEMILL_EVENTS_TABLE") && told.contains("TIDEMILL_UPKEEP_ARN"), "{told}");
    assert!(!told.contains("TIDEMILL_BUCKET"), "{told}");
}

#[test]
fn outputs_say_what_variables_say() {
    let output = |(name, value): (String, String)| {
        let words = name.trim_start_matches("TIDEMILL_").split('_');
        let word = |word: &str| format!("{}{}", &word[..1], word[1..].to_lowercase());
        (words.map(word).collect::<String>(), value)
    };
    let outputs: Vec<(String, String)> = all().into_iter().map(output).collect();
    assert_eq!(Settings::of_outputs(&outputs), Settings::read(all()));
}

#[test]
fn an_empty_fast_bucket_is_none() {
    let empty = ("TIDEMILL_FAST_BUCKET".to_owned(), String::new());
    let settings = Settings::read(all().into_iter().chain([empty])).expect("all names are there");
    assert_eq!((settings.bucket.as_str(), settings.fast_bucket), ("bucket", None));
}
