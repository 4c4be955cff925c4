use super::*;

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn templates_fit_into_a_call() {
    for template in [main().unwrap(), artifacts().unwrap()] {
        assert!(template.len() <= TEMPLATE_BYTES_MAX, "{} bytes", template.len());
    }
}

#[test]
fn what_stays_is_what_holds_data() {
    let stays = parsed(&kept(&main().unwrap()).unwrap());
    let ids: Vec<&String> = stays["Resources"].as_object().unwrap().keys().collect();
    assert_eq!(ids, ["Bucket", "BucketPolicy", "EventsTable", "FastBucket", "ItemsTable"]);
    assert_eq!(stays["Resources"]["EventsTable"]["DeletionPolicy"], "RetainExceptOnCreate");
    assert_eq!(stays["Resources"]["EventsTable"]["Properties"]["DeletionProtectionEnabled"], true);
    assert!(stays.get("Outputs").is_none());
    assert_eq!(description(&stays.to_string()), "tidemill: metrics as assets");
    // The same parameters and conditions: values of before go on.
    assert_eq!(stays["Parameters"], parsed(&main().unwrap())["Parameters"]);
    assert_eq!(stays["Conditions"], parsed(&main().unwrap())["Conditions"]);
    assert_eq!(kept_ids(&main().unwrap()).unwrap().len(), 5);
}

#[test]
fn what_is_released_goes_with_its_stack() {
    let goes = parsed(&released(&main().unwrap()).unwrap());
    for (id, resource) in goes["Resources"].as_object().unwrap() {
        assert_eq!(
            (&resource["DeletionPolicy"], &resource["UpdateReplacePolicy"]),
            (&"Delete".into(), &"Delete".into()),
            "{id}"
        );
    }
    for table in ["EventsTable", "ItemsTable"] {
        assert_eq!(goes["Resources"][table]["Properties"]["DeletionProtectionEnabled"], false);
    }
    // Released once: nothing is kept any more, and that is told rather than an empty stack made.
    assert!(kept(&goes.to_string()).is_err());
}

#[test]
fn what_is_no_template_is_refused() {
    for text in ["", "[]", "{}", "{\"Resources\":{\"A\":{\"Type\":\"AWS::SQS::Queue\"}}}"] {
        assert!(kept(text).is_err(), "{text}");
    }
}
