//! Definitions: an insight's versioned text, as typed meaning.
//!
//! In: YAML ([`parse()`]). Out: a [`Definition`], or diagnostics with file, line, column, snippet and fix.
//! What a definition means for execution is derived: see [`crate::strategy`] and [`crate::fingerprint`].

pub mod actors;
pub mod alert;
pub mod diagnostic;
mod document;
pub mod duration;
mod fields;
pub mod known;
pub mod parse;
mod read;
pub mod relations;
pub mod schema;
mod standard;
mod whole;

use serde::{Deserialize, Serialize};

use crate::calendar::{WeekStart, Zone};
use crate::expression::{Column, Expr};
use crate::metric::Metric;
use actors::{Cohort, Drivers, Funnel, Paths, Pattern};
use relations::{Comparative, Correlation};

pub use parse::{Parsed, parse, parse_hinted};
pub use schema::json_schema;

/// Properties an insight may be broken down by.
pub const BREAKDOWN_COLUMNS_MAX: usize = 3;
/// Groups listed when a definition does not say.
pub const TOP_DEFAULT: u32 = 25;
/// Groups a definition may list.
pub const TOP_MAX: u32 = 1_000;
/// Metrics of one insight.
pub const METRICS_MAX: usize = 50;
/// Bytes of one definition's text.
pub const DEFINITION_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a file of definitions.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Nesting of a definition's YAML.
pub const DEFINITION_DEPTH_MAX: usize = 16;
/// Nesting of an expression; low enough that its JSON stays within a JSON reader's own limit.
pub const EXPRESSION_DEPTH_MAX: usize = 32;
/// Nodes of an expression's tree.
pub const EXPRESSION_NODES_MAX: usize = 65_536;
/// Bytes of an insight's or a metric's name.
pub const NAME_BYTES_MAX: usize = 64;

/// One insight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The insight's name: `[a-z][a-z0-9_]*`, at most 64 bytes.
    pub name: String,
    /// A title for people.
    pub title: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// The source whose events it reads; `None` reads every source.
    pub source: Option<String>,
    /// The zone its days are in.
    pub timezone: Zone,
    /// The day its weeks start on.
    pub week_start: WeekStart,
    /// How often the running day is computed.
    pub refresh: Refresh,
    /// The breakdown.
    pub by: Vec<Column>,
    /// Groups listed before `$other`.
    pub top: u32,
    /// Alert rules.
    pub alerts: Vec<Alert>,
    /// What kind of insight it is.
    pub body: Body,
}

/// The kinds of insight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// Metrics over events.
    Standard(Standard),
    /// How far actors get through steps.
    Funnel(Funnel),
    /// Patterns in actors' events.
    Pattern(Pattern),
    /// The ways actors take.
    Paths(Paths),
    /// Who comes back.
    Cohort(Cohort),
    /// What goes with what actors do.
    Drivers(Drivers),
    /// Daily series against each other.
    Correlation(Correlation),
    /// Periods or segments against each other.
    Comparative(Comparative),
}

/// Metrics over the events that pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standard {
    /// Which events.
    pub from: From,
    /// `where`: rows for which it is not true are left out.
    pub filter: Option<Expr>,
    /// What is measured, in the order written.
    pub metrics: Vec<Metric>,
}

/// Which events an insight reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// Every event (`'*'`).
    All,
    /// Events of these names, sorted, without duplicates, never empty.
    Names(Vec<String>),
}

/// How often the running day is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Refresh {
    /// `1m`
    #[serde(rename = "1m")]
    Minute,
    /// `5m`, the default
    #[serde(rename = "5m")]
    Minutes5,
    /// `15m`
    #[serde(rename = "15m")]
    Minutes15,
    /// `30m`
    #[serde(rename = "30m")]
    Minutes30,
    /// `1h`
    #[serde(rename = "1h")]
    Hour,
    /// `6h`
    #[serde(rename = "6h")]
    Hours6,
    /// `12h`
    #[serde(rename = "12h")]
    Hours12,
    /// Once a day, when the day is over: cohorts, correlations and comparisons, which have no other rate.
    #[serde(rename = "daily")]
    Daily,
}

impl Refresh {
    /// Every rate a definition may ask for, shortest first.
    pub const ALL: [Refresh; 7] = [
        Refresh::Minute,
        Refresh::Minutes5,
        Refresh::Minutes15,
        Refresh::Minutes30,
        Refresh::Hour,
        Refresh::Hours6,
        Refresh::Hours12,
    ];

    /// The word users write.
    pub fn word(self) -> &'static str {
        match self {
            Refresh::Minute => "1m",
            Refresh::Minutes5 => "5m",
            Refresh::Minutes15 => "15m",
            Refresh::Minutes30 => "30m",
            Refresh::Hour => "1h",
            Refresh::Hours6 => "6h",
            Refresh::Hours12 => "12h",
            Refresh::Daily => "daily",
        }
    }

    /// The rate in minutes.
    pub fn minutes(self) -> u32 {
        match self {
            Refresh::Minute => 1,
            Refresh::Minutes5 => 5,
            Refresh::Minutes15 => 15,
            Refresh::Minutes30 => 30,
            Refresh::Hour => 60,
            Refresh::Hours6 => 360,
            Refresh::Hours12 => 720,
            Refresh::Daily => 1_440,
        }
    }
}

/// An alert rule, as written; its condition is checked when the definition is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// The condition's text.
    pub when: String,
    /// The period it is asked of.
    pub window: String,
    /// Whom to tell.
    pub notify: String,
}

impl Definition {
    /// The metrics of a standard insight, in the order written; of a correlation, its series.
    pub fn metrics(&self) -> &[Metric] {
        match &self.body {
            Body::Standard(standard) => &standard.metrics,
            Body::Correlation(correlation) => &correlation.series,
            _ => &[],
        }
    }

    /// Whether it is computed from events of its own: all but comparisons are.
    pub fn reads_events(&self) -> bool {
        !matches!(self.body, Body::Comparative(_))
    }

    /// The `type` users write.
    pub fn type_word(&self) -> &'static str {
        self.body.type_word()
    }

    /// Every expression over one event.
    pub fn expressions(&self) -> Vec<&Expr> {
        self.body.expressions()
    }

    /// The names of events it reads; `None`: all of them.
    pub fn event_names(&self) -> Option<Vec<String>> {
        self.body.event_names()
    }
}
