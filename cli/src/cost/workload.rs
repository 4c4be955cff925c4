//! What a day is made of: definitions, and events to repeat under new ids and at new times.
//!
//! In: a project's own definitions and events; or nothing, for the reference: a shop of 20 insights, half of them
//! recomputed, two of those every minute, the others by the hour. The same every time.

use serde_json::Value;
use tidemill_schemas::time::Timestamp;

/// Events that are kept to be repeated.
pub const TEMPLATES_MAX: usize = 20_000;
/// Actors of the reference.
const ACTORS: u64 = 6_000;

/// Event names of the reference, most frequent first.
const NAMES: [&str; 12] = [
    "page_view",
    "product_view",
    "search",
    "add_to_cart",
    "login",
    "video_play",
    "checkout_start",
    "order_completed",
    "remove_from_cart",
    "signup",
    "share",
    "support_chat",
];
/// Countries of the reference, most frequent first.
const COUNTRIES: [&str; 24] = [
    "US", "IN", "BR", "GB", "DE", "FR", "CA", "MX", "JP", "ES", "IT", "AU", "NL", "PL", "ID", "TR", "KR", "SE", "AR",
    "CO", "PH", "VN", "TH", "ZA",
];
const DEVICES: [&str; 5] = ["mobile_web", "desktop", "ios", "android", "tablet"];
const PLANS: [&str; 4] = ["free", "starter", "pro", "enterprise"];

/// The insights of the reference: name, refresh, and the rest of the definition.
const INSIGHTS: [(&str, &str, &str); 20] = [
    ("events_by_name", "1h", "type: standard\nfrom: '*'\nmetrics: { events: count(*) }\nby: [name]\n"),
    (
        "orders",
        "1h",
        "type: standard\nfrom: order_completed\nmetrics: { orders: count(*), revenue: sum(amount) }\nby: [country]\n",
    ),
    (
        "orders_by_plan",
        "1h",
        "type: standard\nfrom: order_completed\nmetrics: { orders: count(*), revenue: sum(amount) }\nby: [plan, device]\n",
    ),
    ("page_views", "1h", "type: standard\nfrom: page_view\nmetrics: { views: count(*) }\nby: [device]\n"),
    ("searches", "1h", "type: standard\nfrom: search\nmetrics: { searches: count(*) }\nby: [country]\n"),
    ("sign_ups", "1h", "type: standard\nfrom: signup\nmetrics: { sign_ups: count(*) }\nby: [country]\n"),
    (
        "carts",
        "1h",
        "type: standard\nfrom: [add_to_cart, remove_from_cart]\nmetrics: { changes: count(*) }\nby: [name]\n",
    ),
    ("logins", "1h", "type: standard\nfrom: login\nmetrics: { logins: count(*) }\nby: [plan]\n"),
    ("videos", "1h", "type: standard\nfrom: video_play\nmetrics: { plays: count(*), seen: sum(duration_ms) }\n"),
    ("support", "1h", "type: standard\nfrom: support_chat\nmetrics: { chats: count(*) }\nby: [plan]\n"),
    ("active_now", "1m", "type: standard\nfrom: '*'\nmetrics: { actors: count(distinct actor), events: count(*) }\n"),
    (
        "order_value_now",
        "1m",
        "type: standard\nfrom: order_completed\nmetrics: { orders: count(*), value: avg(amount) }\nby: [country]\n",
    ),
    ("actors", "1h", "type: standard\nfrom: '*'\nmetrics: { actors: count(distinct actor) }\nby: [country]\n"),
    ("buyers", "1h", "type: standard\nfrom: order_completed\nmetrics: { buyers: count(distinct actor) }\nby: [plan]\n"),
    ("order_value", "1h", "type: standard\nfrom: order_completed\nmetrics: { value: avg(amount) }\nby: [device]\n"),
    (
        "speed",
        "1h",
        "type: standard\nfrom: page_view\nmetrics: { p50: 'quantile(duration_ms, 0.5)', p95: 'quantile(duration_ms, 0.95)' }\n",
    ),
    ("mobile", "1h", "type: standard\nfrom: '*'\nmetrics: { share: percent(device != 'desktop') }\nby: [country]\n"),
    ("largest", "1h", "type: standard\nfrom: order_completed\nmetrics: { top: max(amount), least: min(amount) }\n"),
    (
        "checkout",
        "1h",
        "type: funnel\nwithin: 7d\nsteps: [product_view, add_to_cart, checkout_start, order_completed]\n",
    ),
    (
        "searched_then_left",
        "1h",
        "type: event_sequence\nevents: { s: search, c: product_view, x: share }\npattern: s !c{0,30m} x\n",
    ),
];

/// Definitions, and events like the ones they are for.
#[derive(Clone, Debug)]
pub struct Workload {
    /// What it is, for people.
    pub what: String,
    /// Names and texts.
    pub insights: Vec<(String, String)>,
    /// Events without id and time: what stands between the braces.
    templates: Vec<String>,
}

impl Workload {
    /// The reference.
    pub fn reference() -> Workload {
        let insights = INSIGHTS
            .iter()
            .map(|(name, refresh, rest)| ((*name).to_owned(), format!("insight: {name}\nrefresh: {refresh}\n{rest}")));
        let mut random = Random(7);
        let templates = (0..TEMPLATES_MAX).map(|_| random.event()).collect();
        let what = "the reference: 20 insights, half of them recomputed, two of those every minute".to_owned();
        Workload { what, insights: insights.collect(), templates }
    }

    /// A project's own. `lines`: events of its, as it exports them.
    pub fn of_project(insights: Vec<(String, String)>, lines: &[String]) -> Workload {
        let templates: Vec<String> = lines.iter().filter_map(|line| template(line)).take(TEMPLATES_MAX).collect();
        let what = format!("this project: {} insights, events like its last {}", insights.len(), templates.len());
        Workload { what, insights, templates }
    }

    /// Whether there is an event to repeat.
    pub fn has_events(&self) -> bool {
        !self.templates.is_empty()
    }

    /// An event as NDJSON: the `number`th, at `time`.
    pub fn line(&self, number: u64, time: Timestamp) -> String {
        let template = &self.templates[(number % self.templates.len().max(1) as u64) as usize];
        format!("{{\"id\":\"e{number:012}\",\"time\":\"{time}\",{template}}}\n")
    }
}

/// What of an event is repeated.
fn template(line: &str) -> Option<String> {
    let Value::Object(mut event) = serde_json::from_str(line).ok()? else { return None };
    for own in ["id", "time", "rev", "received", "deleted"] {
        event.remove(own);
    }
    let whole = Value::Object(event).to_string();
    let inner = whole.strip_prefix('{')?.strip_suffix('}')?;
    (!inner.is_empty()).then(|| inner.to_owned())
}

/// A small generator of numbers: the same ones every time.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) % most.max(1)
    }

    /// One of many, the first ones most often.
    fn skewed<'w>(&mut self, words: &[&'w str]) -> &'w str {
        let most = self.below(words.len() as u64) + 1;
        words[self.below(most) as usize]
    }

    fn event(&mut self) -> String {
        let (name, country) = (self.skewed(&NAMES), self.skewed(&COUNTRIES));
        let (device, plan) = (self.skewed(&DEVICES), self.skewed(&PLANS));
        let most = self.below(ACTORS) + 1;
        let (actor, duration, path) = (self.below(most), self.below(4_000), self.below(5_000));
        let amount = match name {
            "order_completed" => format!(",\"amount\":{}.{:02}", self.below(300), self.below(100)),
            _ => String::new(),
        };
        format!(
            "\"source\":\"shop\",\"name\":\"{name}\",\"actor\":\"user-{actor:06}\",\"properties\":{{\"country\":\
             \"{country}\",\"device\":\"{device}\",\"plan\":\"{plan}\",\"path\":\"/products/{path}\",\"referrer\":\
             \"https://example.com/{}\",\"duration_ms\":{duration}{amount}}}",
            path % 97
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_half_recomputed_and_two_of_it_every_minute() {
        use tidemill_schemas::strategy::{Strategy, strategy};
        let reference = Workload::reference();
        let definitions: Vec<_> = reference
            .insights
            .iter()
            .flat_map(|(name, text)| {
                tidemill_schemas::definition::parse(name, text).unwrap_or_else(|why| panic!("{name}: {why:?}"))
            })
            .map(|parsed| parsed.definition)
            .collect();
        let recomputed = definitions.iter().filter(|one| strategy(one) != Strategy::Incremental);
        let every_minute = recomputed.clone().filter(|one| one.refresh.minutes() == 1);
        assert_eq!((definitions.len(), recomputed.count(), every_minute.count()), (20, 10, 2));
        assert!(reference.has_events());
        let line = reference.line(3, Timestamp::from_millis(0));
        let event: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(event["id"], "e000000000003");
        assert!((200..400).contains(&line.len()), "{line}");
    }

    #[test]
    fn a_projects_events_are_repeated_without_their_identity() {
        let lines = [
            r#"{"id":"a","source":"shop","name":"n","time":"2026-01-01T00:00:00Z","rev":3,"properties":{"x":1}}"#,
            "no JSON",
        ];
        let own = Workload::of_project(Vec::new(), &lines.map(str::to_owned));
        let event: Value = serde_json::from_str(&own.line(5, Timestamp::from_millis(0))).expect("JSON");
        assert_eq!((&event["id"], &event["rev"]), (&"e000000000005".into(), &Value::Null));
        assert_eq!((&event["source"], &event["properties"]["x"]), (&"shop".into(), &1.into()));
    }
}
