//! The templates, and what becomes of one when its functions go but its data stays. Pure.
//!
//! In: a template as CloudFormation has it. Out: the same, without what costs or computes; or with data that may be
//! removed at last. What holds data is what the template itself says outlives its stack.

use serde_json::{Map, Value};

use super::Trouble;

/// Bytes of a template in a call.
pub const TEMPLATE_BYTES_MAX: usize = 51_200;

const MAIN: &str = include_str!("../../../cdk/templates/tidemill.json");
const ARTIFACTS: &str = include_str!("../../../cdk/templates/artifacts.json");

/// The stack's template, without spaces.
///
/// # Errors
/// When this build holds none.
pub fn main() -> Result<String, Trouble> {
    read(MAIN).map(|template| template.to_string())
}

/// The template of the stack that holds archives, without spaces.
///
/// # Errors
/// When this build holds none.
pub fn artifacts() -> Result<String, Trouble> {
    read(ARTIFACTS).map(|template| template.to_string())
}

/// The default of each parameter of [`main`], where it has one.
///
/// # Errors
/// When this build holds none.
pub fn defaults() -> Result<Vec<(String, Option<String>)>, Trouble> {
    let template = read(MAIN)?;
    let parameters = template.get("Parameters").and_then(Value::as_object).cloned().unwrap_or_default();
    let default = |value: &Value| value.get("Default").and_then(Value::as_str).map(str::to_owned);
    Ok(parameters.iter().map(|(name, value)| (name.clone(), default(value))).collect())
}

/// What a template says of itself; empty when it says nothing.
pub fn description(template: &str) -> String {
    let said = read(template).ok().and_then(|template| template.get("Description")?.as_str().map(str::to_owned));
    said.unwrap_or_default()
}

/// Whether a resource outlives its stack, by what its template says.
pub fn is_kept(resource: &Value) -> bool {
    resource.get("DeletionPolicy").and_then(Value::as_str).is_some_and(|policy| policy.starts_with("Retain"))
}

/// The logical ids of what outlives the stack.
///
/// # Errors
/// When the template is none.
pub fn kept_ids(template: &str) -> Result<Vec<String>, Trouble> {
    let template = read(template)?;
    let resources = template.get("Resources").and_then(Value::as_object).into_iter().flatten();
    Ok(resources.filter(|(_, resource)| is_kept(resource)).map(|(id, _)| id.clone()).collect())
}

/// The template with nothing but what holds data.
///
/// # Errors
/// When the template is none, or nothing of it holds data.
pub fn kept(template: &str) -> Result<String, Trouble> {
    only_kept(template).map(|template| template.to_string())
}

/// The template with nothing but what holds data, which then goes with the stack.
///
/// # Errors
/// As [`kept`].
pub fn released(template: &str) -> Result<String, Trouble> {
    let mut template = only_kept(template)?;
    let resources = template.get_mut("Resources").and_then(Value::as_object_mut).into_iter().flatten();
    for (_, resource) in resources {
        let Some(resource) = resource.as_object_mut() else { continue };
        resource.insert("DeletionPolicy".to_owned(), "Delete".into());
        resource.insert("UpdateReplacePolicy".to_owned(), "Delete".into());
        if let Some(Value::Object(properties)) = resource.get_mut("Properties")
            && properties.contains_key("DeletionProtectionEnabled")
        {
            properties.insert("DeletionProtectionEnabled".to_owned(), false.into());
        }
    }
    Ok(template.to_string())
}

fn only_kept(template: &str) -> Result<Value, Trouble> {
    let mut template = read(template)?;
    let mut resources = Map::new();
    if let Some(Value::Object(all)) = template.get_mut("Resources") {
        resources = std::mem::take(all).into_iter().filter(|(_, resource)| is_kept(resource)).collect();
    }
    if resources.is_empty() {
        return Err(unreadable("nothing of it holds data"));
    }
    // Outputs may name what is gone; those that name only what stays are for nobody then.
    if let Some(template) = template.as_object_mut() {
        template.insert("Resources".to_owned(), Value::Object(resources));
        template.remove("Outputs");
    }
    Ok(template)
}

fn read(text: &str) -> Result<Value, Trouble> {
    let template: Value = serde_json::from_str(text).map_err(|why| unreadable(&why.to_string()))?;
    if template.is_object() { Ok(template) } else { Err(unreadable("it is no object")) }
}

fn unreadable(why: &str) -> Trouble {
    Trouble::Service { service: "CloudFormation", why: format!("the template is none of tidemill's: {why}") }
}

#[cfg(test)]
mod tests;
