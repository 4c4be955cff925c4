use std::path::Path;

use super::*;

/// `UPDATE=1` rewrites the file.
#[test]
fn the_checked_in_schema_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("json/insight.schema.json");
    let generated = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), generated);
}

#[test]
fn it_knows_the_keys_the_parser_knows() {
    let schema = json_schema();
    let keys = |of: &serde_json::Value| -> Vec<String> {
        let mut keys: Vec<String> = of["properties"].as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    let sorted = |keys: &[&str]| {
        let mut keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&schema["anyOf"][0]), sorted(&super::super::parse::KEYS));
    for (nth, kind) in super::super::read::TYPES.iter().enumerate() {
        let known: Vec<&str> = super::super::parse::COMMON.iter().chain(kind.keys).copied().collect();
        let known: Vec<&str> = known.into_iter().filter(|key| !(kind.daily && *key == "refresh")).collect();
        assert_eq!(keys(&schema["anyOf"][nth + 1]), sorted(&known), "{}", kind.word);
    }
    assert_eq!(keys(&schema["$defs"]["Rule"]), sorted(&super::super::alert::KEYS));
    assert_eq!(schema["anyOf"][0]["required"], serde_json::json!(["insight", "from", "metrics"]));
}
