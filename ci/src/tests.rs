use super::*;

fn names(arguments: &[&str]) -> Result<Vec<&'static str>, String> {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    chosen(&arguments).map(|steps| steps.iter().map(|step| step.name).collect())
}

#[test]
fn steps_are_chosen_by_name() {
    assert_eq!(names(&[]).unwrap().len(), STEPS.len());
    assert_eq!(names(&["--only", "demo", "--only", "fmt"]).unwrap(), ["fmt", "demo"]);
    assert!(names(&["--only", "dmeo"]).unwrap_err().contains("no step is called `dmeo`"));
    assert!(names(&["--only"]).is_err());
    assert!(names(&["fmt"]).is_err());
}

#[test]
fn insights_are_found_by_their_names() {
    let text = "# insight: no\ninsight: one # first\ntype: standard\n---\ninsight: 'two'\n";
    assert_eq!(demo::insights(text), ["one", "two"]);
}
