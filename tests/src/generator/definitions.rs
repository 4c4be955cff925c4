//! Random definitions, as the YAML text a user would write, over the vocabulary of the worlds.
//!
//! Every text is valid and means the same in DuckDB; the first metric of a breakdown is never an estimate, since
//! groups are ranked by it.

use super::{Random, Scene};

/// Conditions; each reads a property at one type only, so that any two may stand in one definition.
const CONDITIONS: [&str; 30] = [
    "status = 'paid'",
    "status <> 'paid'",
    "status in ('paid', 'open', '')",
    "status not in ('paid', 'void')",
    "amount > 0",
    "amount between 1 and 100.5",
    "amount not between 0 and 50",
    "amount = 0.000000000000000001",
    "quantity * price >= 20",
    "quantity + 1 > 3",
    "amount - price < 0",
    "-quantity < -2",
    "vip",
    "not vip",
    "vip is null",
    "amount is not null",
    "plan is not null",
    "country like '%a%'",
    "country not like '_'",
    "note ilike 'Ä%'",
    "lower(note) = 'ärger'",
    "starts_with(country, 'I')",
    "ends_with(note, '%')",
    "contains(note, '''')",
    "regexp_matches(country, '^[A-Z]{2}$')",
    "actor = 'ada' or actor is null",
    "name = 'refund'",
    "source = 'shop'",
    "\"weird key\" = 'a'",
    "cart.items >= 3",
];

/// Metrics by the function's SQL; `{}` takes a condition.
const METRICS: [&str; 36] = [
    "count(*)",
    "count(*)",
    "count(*) filter (where {})",
    "count(amount)",
    "count(plan)",
    "count(actor) filter (where {})",
    "sum(amount)",
    "sum(amount)",
    "sum(amount) filter (where {})",
    "sum(quantity * price)",
    "sum(quantity)",
    "sum(balance)",
    "avg(amount)",
    "avg(quantity)",
    "avg(quantity * price) filter (where {})",
    "avg(price - 1)",
    "min(amount)",
    "max(amount)",
    "min(time)",
    "max(time) filter (where {})",
    "min(huge)",
    "max(huge)",
    "min(lower(note))",
    "max(actor)",
    "count(distinct user_id)",
    "count(distinct user_id) filter (where {})",
    "count(distinct plan)",
    "count(distinct huge)",
    "count(distinct actor)",
    "approx_count_distinct(user_id)",
    "percent({})",
    "percent({}) filter (where {})",
    "quantile(amount, 0.5)",
    "quantile(price, 0.95)",
    "quantile(huge, 0)",
    "quantile(quantity, 1) filter (where {})",
];

const BREAKDOWNS: [&str; 8] = ["country", "plan", "status", "device", "actor", "vip", "source", "name"];

/// A definition's YAML text. The scene's zone is its own more often than not.
pub fn definition(seed: u64, scene: Scene) -> String {
    let mut random = Random::of(seed ^ 0xD1CE);
    let mut lines = vec![format!("insight: i{seed}"), "type: standard".to_owned()];
    lines.push(format!("from: {}", from(&mut random)));
    if random.chance(25) {
        lines.push(format!("source: {}", random.pick(&["shop", "app", "Läden & Co"])));
    }
    if random.chance(55) {
        lines.push(format!("where: {}", quoted(&condition(&mut random))));
    }
    let by = breakdown(&mut random);
    lines.push("metrics:".to_owned());
    let count = 1 + random.below(5);
    for at in 0..count {
        let text = loop {
            let text = metric(&mut random);
            if at > 0 || by.is_empty() || !text.starts_with("approx") {
                break text;
            }
        };
        lines.push(format!("  m{at}: {}", quoted(&text)));
    }
    if !by.is_empty() {
        lines.push(format!("by: [{}]", by.join(", ")));
        if random.chance(70) {
            lines.push(format!("top: {}", 1 + random.below(6)));
        }
    }
    let zone = if random.chance(60) {
        scene.zone
    } else {
        random.pick(&["UTC", "Asia/Kolkata", "America/Santiago", "Pacific/Apia", "Pacific/Niue"])
    };
    lines.push(format!("timezone: {zone}"));
    if random.chance(30) {
        lines.push("week_start: monday".to_owned());
    }
    lines.join("\n") + "\n"
}

fn from(random: &mut Random) -> &'static str {
    random.pick(&["'*'", "'*'", "order_completed", "[order_completed, refund]", "[page_viewed, Größe gewählt]"])
}

/// One condition, or two joined, or one denied.
fn condition(random: &mut Random) -> String {
    let first = random.pick(&CONDITIONS);
    match random.below(6) {
        0 => format!("({first}) and ({})", random.pick(&CONDITIONS)),
        1 => format!("({first}) or ({})", random.pick(&CONDITIONS)),
        2 => format!("not ({first})"),
        _ => first.to_owned(),
    }
}

fn metric(random: &mut Random) -> String {
    let mut text = random.pick(&METRICS).to_owned();
    while text.contains("{}") {
        text = text.replacen("{}", &condition(random), 1);
    }
    text
}

fn breakdown(random: &mut Random) -> Vec<&'static str> {
    let mut columns = BREAKDOWNS.to_vec();
    random.shuffle(&mut columns);
    columns.truncate(random.pick(&[&0, &1, &1, &2, &3]).to_owned());
    columns
}

/// A YAML scalar of any text: JSON's strings are YAML's double-quoted ones.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
