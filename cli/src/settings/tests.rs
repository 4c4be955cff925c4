use super::*;

fn read(text: &str) -> Result<Settings, Failure> {
    Settings::read("tidemill.toml", text, &|_| None)
}

#[test]
fn an_empty_file_means_the_defaults() {
    assert_eq!(read(""), Ok(Settings::default()));
    assert_eq!(read(crate::commands::init::PROJECT_FILE), Ok(Settings::default()));
}

#[test]
fn the_environment_wins_over_the_file() {
    let environment = |key: &str| (key == "TIDEMILL_SEND_IN_FLIGHT").then(|| "2".to_owned());
    let settings = Settings::read("tidemill.toml", "send_in_flight = 8", &environment).expect("it is valid");
    assert_eq!(settings.send_in_flight, 2);
    let environment = |key: &str| (key == "TIDEMILL_SEND_IN_FLIGHT").then(|| "many".to_owned());
    let failure = Settings::read("tidemill.toml", "", &environment).expect_err("it is no number");
    assert_eq!(failure.message, "TIDEMILL_SEND_IN_FLIGHT must be a whole number");
}

#[test]
fn an_unknown_key_is_refused_with_a_hint() {
    let failure = read("# mine\nlisten = \"127.0.0.1:1\"\nlissten = \"x\"").expect_err("unknown");
    assert_eq!(
        failure.lines(),
        ["error[TM0905]: tidemill.toml:3: unknown key `lissten`", "  = help: did you mean `listen`?"]
    );
    let failure = read("colour = 1").expect_err("unknown");
    assert!(failure.help.expect("there is a hint").starts_with("the keys are listen, "));
}

#[test]
fn wrong_types_and_limits_name_the_key() {
    for (text, part) in [
        ("listen = 3", "string"),
        ("listen = \"here\"", "`listen` must be an address and a port"),
        ("send_in_flight = 0", "1 to 16"),
        ("source = \"\"", "`source`"),
        ("listen = ", "not readable TOML"),
    ] {
        let failure = read(text).expect_err(text);
        assert!(failure.message.contains(part), "{text}: {}", failure.message);
        assert_eq!(failure.exit, crate::failure::Exit::BadInput);
    }
}
