use super::*;

#[test]
fn a_refusal_names_the_action() {
    let said = "User: arn:aws:iam::1:user/a is not authorized to perform: cloudformation:CreateChangeSet on resource: \
                arn:aws:cloudformation:eu-central-1:1:stack/tidemill/* because no identity-based policy allows it";
    let Trouble::Denied { action, why } = of_service("CloudFormation", "AccessDenied", said) else { panic!() };
    assert_eq!((action.as_str(), why.as_str()), ("cloudformation:CreateChangeSet", said));
    let Trouble::Denied { action, .. } = of_service("STS", "AccessDeniedException", "no") else { panic!() };
    assert_eq!(action, "an action that AWS does not name");
    assert_eq!(action_of("(… not authorized to perform: iam:PassRole)"), Some("iam:PassRole"));
}

fn action_of(text: &str) -> Option<&str> {
    action(text)
}

#[test]
fn a_stack_that_is_not_there_is_told_from_one_that_is_busy() {
    for said in ["Stack with id tidemill does not exist", "Stack [tidemill] does not exist"] {
        let trouble = of_service("CloudFormation", "ValidationError", said);
        assert_eq!(trouble, Trouble::Absent { stack: "tidemill".to_owned() }, "{said}");
    }
    let said = "Stack:arn:aws:cloudformation:eu-central-1:1:stack/tidemill/0f-1 is in UPDATE_IN_PROGRESS state and can \
                not be updated.";
    let busy = Trouble::Busy { stack: "tidemill".to_owned(), status: "UPDATE_IN_PROGRESS".to_owned() };
    assert_eq!(of_service("CloudFormation", "ValidationError", said), busy);
    let other = of_service("CloudFormation", "ValidationError", "Template format error");
    assert_eq!(other.to_string(), "CloudFormation: ValidationError: Template format error");
}

#[test]
fn credentials_that_expired_are_none() {
    let trouble = of_service("STS", "ExpiredToken", "The security token included in the request is expired");
    assert!(matches!(trouble, Trouble::NoCredentials { .. }), "{trouble:?}");
}
