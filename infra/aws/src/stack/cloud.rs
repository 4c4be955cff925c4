//! CloudFormation and STS, as far as deployments need them: types are mapped, errors are mapped, nothing is decided.
//!
//! `AWS_ENDPOINT_URL` and the other variables of AWS's own tools are honoured by the SDK.

use std::hash::{BuildHasher, Hasher};

use aws_config::SdkConfig;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_cloudformation::types::{Capability, ChangeSetType, Parameter};
use aws_sdk_sts::config::{Credentials, ProvideCredentials};

use super::status::{Phase, phase};
use super::template;
use super::trouble::{Trouble, of_service};
use crate::connection;

const CLOUDFORMATION: &str = "CloudFormation";

/// An account and a region, with somebody's credentials.
#[derive(Clone, Debug)]
pub struct Cloud {
    config: SdkConfig,
    client: Client,
    /// The region.
    pub region: String,
}

/// Whose credentials they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub account: String,
    /// The user or role.
    pub arn: String,
}

/// A stack as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Its id, which a later stack of the same name has not.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: String,
    /// What it says of itself.
    pub description: String,
    /// Its parameters.
    pub parameters: Vec<(String, String)>,
    /// Its outputs.
    pub outputs: Vec<(String, String)>,
}

impl Stack {
    /// An output's value.
    pub fn output(&self, name: &str) -> Option<&str> {
        self.outputs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A resource of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// What the template calls it.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// What it is called in the account.
    pub physical: String,
    /// Its status.
    pub status: String,
}

/// A change of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `Add`, `Modify`, `Remove` …
    pub action: String,
    /// What the template calls it.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// Of a change: `True`, `False` or `Conditional`; empty otherwise.
    pub replacement: String,
}

/// Changes that were planned and not made yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The stack's id.
    pub stack: String,
    /// The stack's name.
    pub name: String,
    /// The change set's id.
    pub id: String,
    /// Whether the stack is made by it.
    pub creates: bool,
    /// What it does.
    pub changes: Vec<Change>,
}

impl Cloud {
    /// Looks for a region and for credentials. `region`: instead of the environment's.
    ///
    /// # Errors
    /// When there is none of either.
    pub async fn connect(region: Option<&str>) -> Result<Cloud, Trouble> {
        let config = connection::defaults(region.map(str::to_owned)).load().await;
        let region = config.region().map(ToString::to_string).ok_or(Trouble::NoRegion)?;
        let cloud = Cloud { client: Client::new(&config), config, region };
        cloud.credentials().await?;
        Ok(cloud)
    }

    /// The credentials, for what is no SDK.
    ///
    /// # Errors
    /// When there are none.
    pub async fn credentials(&self) -> Result<Credentials, Trouble> {
        let none = |why: String| Trouble::NoCredentials { why };
        let provider = self.config.credentials_provider().ok_or_else(|| none("no provider is set up".to_owned()))?;
        provider.provide_credentials().await.map_err(|why| none(DisplayErrorContext(&why).to_string()))
    }

    /// What clients of services are made of.
    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// Another endpoint than AWS's own, where one is set.
    pub fn endpoint(&self) -> Option<&str> {
        self.config.endpoint_url()
    }

    /// Who calls.
    ///
    /// # Errors
    /// When the credentials are no good, or nobody answers.
    pub async fn caller(&self) -> Result<Caller, Trouble> {
        let answer = aws_sdk_sts::Client::new(&self.config).get_caller_identity().send().await;
        let answer = answer.map_err(|why| trouble("STS", why))?;
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        Ok(Caller { account: text(answer.account()), arn: text(answer.arn()) })
    }

    /// A stack by name or id; `None` when there is none.
    ///
    /// # Errors
    /// What CloudFormation says.
    pub async fn stack(&self, name: &str) -> Result<Option<Stack>, Trouble> {
        let answer = match self.client.describe_stacks().stack_name(name).send().await {
            Ok(answer) => answer,
            Err(why) => match trouble(CLOUDFORMATION, why) {
                Trouble::Absent { .. } => return Ok(None),
                other => return Err(other),
            },
        };
        let Some(mut found) = answer.stacks().first().map(stack) else { return Ok(None) };
        // Stand-ins for AWS leave it out where a plan made the stack; it stands in the template.
        if found.description.is_empty() && phase(&found.status) != Phase::Planned {
            found.description = template::description(&self.template(&found.id).await?);
        }
        Ok(Some(found))
    }

    /// Every resource of a stack.
    ///
    /// # Errors
    /// What CloudFormation says.
    pub async fn resources(&self, stack: &str) -> Result<Vec<Resource>, Trouble> {
        let mut resources = Vec::new();
        let mut pages = self.client.list_stack_resources().stack_name(stack).into_paginator().items().send();
        while let Some(found) = pages.next().await {
            let found = found.map_err(|why| trouble(CLOUDFORMATION, why))?;
            let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
            resources.push(Resource {
                id: text(found.logical_resource_id()),
                kind: text(found.resource_type()),
                physical: text(found.physical_resource_id()),
                status: found.resource_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
            });
        }
        Ok(resources)
    }

    /// A stack's template, as it was sent.
    ///
    /// # Errors
    /// What CloudFormation says.
    pub async fn template(&self, stack: &str) -> Result<String, Trouble> {
        let answer = self.client.get_template().stack_name(stack).send().await;
        let answer = answer.map_err(|why| trouble(CLOUDFORMATION, why))?;
        Ok(answer.template_body().unwrap_or_default().to_owned())
    }

    /// Plans a stack's changes; `None`: there is nothing to change. `before`: the stack as it is, if there is one.
    ///
    /// # Errors
    /// When the template or the parameters are refused, and what CloudFormation says.
    pub async fn plan(
        &self,
        name: &str,
        before: Option<&Stack>,
        template: &str,
        parameters: &[(String, String)],
    ) -> Result<Option<Plan>, Trouble> {
        let kind = if before.is_some() { ChangeSetType::Update } else { ChangeSetType::Create };
        let parameter =
            |(key, value): &(String, String)| Parameter::builder().parameter_key(key).parameter_value(value).build();
        let planned = self.client.create_change_set().stack_name(name).change_set_name(unheard_of());
        let planned = planned.change_set_type(kind).template_body(template).capabilities(Capability::CapabilityIam);
        let planned = planned.set_parameters(Some(parameters.iter().map(parameter).collect())).send().await;
        let planned = planned.map_err(|why| trouble(CLOUDFORMATION, why))?;
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let mut plan = Plan {
            stack: text(planned.stack_id()),
            name: name.to_owned(),
            id: text(planned.id()),
            creates: before.is_none(),
            changes: Vec::new(),
        };
        match self.changes(&plan).await {
            Ok(Some(changes)) => {
                plan.changes = changes;
                Ok(Some(plan))
            }
            Ok(None) => self.discard(&plan).await.map(|()| None),
            Err(why) => {
                // The reason it was refused says more than a failure to take it away.
                let _ = self.discard(&plan).await;
                Err(why)
            }
        }
    }

    /// What a plan does, once CloudFormation knows; `None`: nothing.
    async fn changes(&self, plan: &Plan) -> Result<Option<Vec<Change>>, Trouble> {
        let mut pause = super::follow::Pause::default();
        let (mut changes, mut next) = (Vec::new(), None);
        loop {
            let asked = self.client.describe_change_set().stack_name(&plan.stack).change_set_name(&plan.id);
            let answer = asked.set_next_token(next.clone()).send().await;
            let answer = answer.map_err(|why| trouble(CLOUDFORMATION, why))?;
            let reason = answer.status_reason().unwrap_or_default();
            match answer.status().map(|status| status.as_str()).unwrap_or_default() {
                "CREATE_COMPLETE" => {}
                "FAILED" if is_nothing(reason) => return Ok(None),
                "FAILED" => {
                    let what = "the change was refused".to_owned();
                    return Err(Trouble::Failed { stack: plan.name.clone(), what, reasons: vec![reason.to_owned()] });
                }
                _ => {
                    pause.wait(&plan.name).await?;
                    continue;
                }
            }
            changes.extend(answer.changes().iter().filter_map(|change| change.resource_change()).map(change));
            next = answer.next_token().map(str::to_owned);
            if next.is_none() {
                return Ok(Some(changes));
            }
        }
    }

    /// Makes the changes of a plan; [`follow`](super::follow) tells how it goes.
    ///
    /// # Errors
    /// What CloudFormation says.
    pub async fn execute(&self, plan: &Plan) -> Result<(), Trouble> {
        let done = self.client.execute_change_set().stack_name(&plan.stack).change_set_name(&plan.id).send().await;
        done.map(drop).map_err(|why| trouble(CLOUDFORMATION, why))
    }

    /// Takes a plan away, and with it the empty stack it was made in.
    ///
    /// # Errors
    /// What CloudFormation says.
    pub async fn discard(&self, plan: &Plan) -> Result<(), Trouble> {
        if plan.creates {
            return self.delete(&plan.stack).await;
        }
        let done = self.client.delete_change_set().stack_name(&plan.stack).change_set_name(&plan.id).send().await;
        done.map(drop).map_err(|why| trouble(CLOUDFORMATION, why))
    }

    /// Begins to remove a stack; what its template keeps stays.
    ///
    /// # Errors
    /// What CloudFormation says.
    pub async fn delete(&self, stack: &str) -> Result<(), Trouble> {
        let done = self.client.delete_stack().stack_name(stack).send().await;
        done.map(drop).map_err(|why| trouble(CLOUDFORMATION, why))
    }

    /// The id of a stack's newest event.
    pub(super) async fn newest_event(&self, stack: &str) -> Result<Option<String>, Trouble> {
        let answer = self.client.describe_stack_events().stack_name(stack).send().await;
        let answer = answer.map_err(|why| trouble(CLOUDFORMATION, why))?;
        Ok(answer.stack_events().first().and_then(|event| event.event_id()).map(str::to_owned))
    }

    /// The newest events of a stack, newest first, up to the one with the id `until`.
    pub(super) async fn events(&self, stack: &str, until: Option<&str>) -> Result<Vec<super::Step>, Trouble> {
        let mut steps = Vec::new();
        let mut pages = self.client.describe_stack_events().stack_name(stack).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|why| trouble(CLOUDFORMATION, why))?;
            for event in page.stack_events() {
                if event.event_id().is_some_and(|id| Some(id) == until) {
                    return Ok(steps);
                }
                let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
                steps.push(super::Step {
                    event: text(event.event_id()),
                    id: text(event.logical_resource_id()),
                    kind: text(event.resource_type()),
                    status: event.resource_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
                    reason: text(event.resource_status_reason()),
                });
            }
        }
        Ok(steps)
    }
}

fn stack(found: &aws_sdk_cloudformation::types::Stack) -> Stack {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let parameters = found.parameters().iter();
    let outputs = found.outputs().iter();
    Stack {
        id: text(found.stack_id()),
        name: text(found.stack_name()),
        status: found.stack_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
        description: text(found.description()),
        parameters: parameters.map(|one| (text(one.parameter_key()), text(one.parameter_value()))).collect(),
        outputs: outputs.map(|one| (text(one.output_key()), text(one.output_value()))).collect(),
    }
}

fn change(found: &aws_sdk_cloudformation::types::ResourceChange) -> Change {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    Change {
        action: text(found.action().map(|action| action.as_str())),
        id: text(found.logical_resource_id()),
        kind: text(found.resource_type()),
        replacement: text(found.replacement().map(|replacement| replacement.as_str())),
    }
}

/// Whether a plan was refused because it changes nothing.
fn is_nothing(reason: &str) -> bool {
    reason.contains("didn't contain changes") || reason.contains("No updates are to be performed")
}

/// A name that no plan of this stack has yet. The seeds of hash maps are all the randomness this needs.
fn unheard_of() -> String {
    format!("tidemill-{:016x}", std::hash::RandomState::new().build_hasher().finish())
}

/// What a failed call means.
fn trouble<E, R>(service: &'static str, error: SdkError<E, R>) -> Trouble
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    if let Some(said) = error.as_service_error() {
        let message = said.message().unwrap_or("no reason given");
        return of_service(service, said.code().unwrap_or("an error without a code"), message);
    }
    let why = DisplayErrorContext(&error).to_string();
    match error {
        SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) => Trouble::Unreachable { service, why },
        _ => Trouble::Service { service, why },
    }
}
