//! What a deployment may choose, checked before anything is called. Pure.
//!
//! In: options as typed. Out: the template's parameters, or which option is wrong, why, and what would do. What is not
//! given stays as it was; at first it is the template's default.

use super::Trouble;
use super::template;

/// Bytes of a stack's name: it is part of buckets' names, which have 63.
pub const STACK_NAME_BYTES_MAX: usize = 25;
/// Days that CloudWatch can keep logs.
const RETENTION_DAYS: [&str; 22] = [
    "1", "3", "5", "7", "14", "30", "60", "90", "120", "150", "180", "365", "400", "545", "731", "1096", "1827",
    "2192", "2557", "2922", "3288", "3653",
];

/// Options as typed; `None`: as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Availability zone of the fast copy; empty for none.
    pub express_zone: Option<String>,
    /// Days that logs are kept.
    pub retention_days: Option<String>,
    /// US dollars a month; 0 for no budget.
    pub budget_usd: Option<String>,
    /// Who is told of the budget; empty for nobody.
    pub budget_email: Option<String>,
    /// `off`, `on-demand` or a number of shards.
    pub kinesis: Option<String>,
    /// How often a period asks for its missing days.
    pub repair_attempts: Option<String>,
}

/// Where the functions' program is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// The bucket.
    pub bucket: String,
    /// The archive in it.
    pub key: String,
    /// The processor it was built for, as Lambda calls it.
    pub architecture: String,
}

/// An option, what was given, whether that fits, why not, and what would.
type Rule<'a> = (&'static str, &'a Option<String>, fn(&str) -> bool, &'static str, &'static str);

impl Choices {
    /// Checks what was typed.
    ///
    /// # Errors
    /// The first option that makes no sense.
    pub fn check(&self) -> Result<(), Trouble> {
        let rules: [Rule<'_>; 6] = [
            (
                "--express-zone",
                &self.express_zone,
                is_zone_or_empty,
                "that is no id of an availability zone",
                "give an id like use1-az4 (`aws ec2 describe-availability-zones` lists ZoneId), or '' for none",
            ),
            (
                "--retention-days",
                &self.retention_days,
                |text| RETENTION_DAYS.contains(&text),
                "CloudWatch cannot keep logs for that long",
                "give one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, …, 3653",
            ),
            (
                "--budget-usd",
                &self.budget_usd,
                |text| is_number(text, 9_999_999),
                "that is no sum of whole US dollars",
                "give 0 (no budget) to 9999999",
            ),
            (
                "--budget-email",
                &self.budget_email,
                |text| text.is_empty() || is_email(text),
                "that is no e-mail address",
                "give an address like ops@example.com, or '' for nobody",
            ),
            (
                "--kinesis",
                &self.kinesis,
                is_kinesis,
                "that is no kind of stream",
                "give off, on-demand, or a number of shards from 1 to 999",
            ),
            (
                "--repair-attempts",
                &self.repair_attempts,
                |text| is_number(text, 10),
                "that is no number of attempts",
                "give 0 to 10",
            ),
        ];
        for (name, value, fits, reason, fix) in rules {
            if let Some(value) = value
                && !fits(value)
            {
                return Err(refused(name, value, reason, fix));
            }
        }
        Ok(())
    }

    /// Every parameter of the template: what was typed, else what was there before, else the default.
    ///
    /// # Errors
    /// When the template asks for something that nobody gave.
    pub fn parameters(&self, before: &[(String, String)], code: &Code) -> Result<Vec<(String, String)>, Trouble> {
        let given = |name: &str| -> Option<&str> {
            match name {
                "Architecture" => Some(&code.architecture),
                "CodeBucket" => Some(&code.bucket),
                "CodeKey" => Some(&code.key),
                "ExpressZone" => self.express_zone.as_deref(),
                "RetentionDays" => self.retention_days.as_deref(),
                "BudgetUsd" => self.budget_usd.as_deref(),
                "BudgetEmail" => self.budget_email.as_deref(),
                "Kinesis" => self.kinesis.as_deref(),
                "RepairAttempts" => self.repair_attempts.as_deref(),
                _ => None,
            }
        };
        let was = |name: &str| before.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let mut parameters = Vec::new();
        for (name, default) in template::defaults()? {
            let value = given(&name).or_else(|| was(&name)).map(str::to_owned).or(default);
            let missing =
                || Trouble::Service { service: "CloudFormation", why: format!("parameter {name} has no value") };
            parameters.push((name.clone(), value.ok_or_else(missing)?));
        }
        Ok(parameters)
    }
}

/// Checks a stack's name.
///
/// # Errors
/// When buckets could not be named after it.
pub fn check_name(name: &str) -> Result<(), Trouble> {
    let fix = "use 1 to 25 of a-z, 0-9 and -, beginning with a letter and not ending with -";
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > STACK_NAME_BYTES_MAX {
        return Err(refused("--stack", name, "buckets are named after it, so it has 1 to 25 letters", fix));
    }
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !begins || !name.chars().all(is_inner) || name.ends_with('-') || name.contains("--") {
        return Err(refused("--stack", name, "buckets are named after it, and cannot be named so", fix));
    }
    Ok(())
}

fn refused(name: &'static str, value: &str, reason: &str, fix: &str) -> Trouble {
    Trouble::Choice { name, value: value.to_owned(), reason: reason.to_owned(), fix: fix.to_owned() }
}

/// `use1-az4`: a region's short name and a number, of the zone another.
fn is_zone_or_empty(text: &str) -> bool {
    let Some((region, zone)) = text.split_once("-az") else { return text.is_empty() };
    let letters = region.trim_end_matches(|c: char| c.is_ascii_digit());
    (2..=6).contains(&letters.len())
        && letters.chars().all(|c| c.is_ascii_lowercase())
        && (1..=2).contains(&(region.len() - letters.len()))
        && (1..=2).contains(&zone.len())
        && zone.chars().all(|c| c.is_ascii_digit())
}

fn is_kinesis(text: &str) -> bool {
    matches!(text, "off" | "on-demand") || (text != "0" && is_number(text, 999))
}

/// A whole number as one writes it: no sign, no leading zeros.
fn is_number(text: &str, most: u32) -> bool {
    text.parse::<u32>().is_ok_and(|number| number <= most && number.to_string() == text)
}

fn is_email(text: &str) -> bool {
    let Some((name, host)) = text.split_once('@') else { return false };
    let clean = !text.contains(char::is_whitespace) && !host.contains('@') && text.len() <= 320;
    clean && !name.is_empty() && host.split('.').count() > 1 && host.split('.').all(|part| !part.is_empty())
}

#[cfg(test)]
mod tests;
