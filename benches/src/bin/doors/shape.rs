//! The events and the insights that are measured.

use std::fmt::Write;

use tidemill_schemas::time::Timestamp;
use tidemill_tests::generator::Random;

const NAMES: [&str; 12] = [
    "page_view",
    "page_view",
    "page_view",
    "click",
    "click",
    "search",
    "product_view",
    "product_view",
    "add_to_cart",
    "checkout_start",
    "purchase",
    "login",
];
const COUNTRIES: [&str; 24] = [
    "US", "US", "US", "US", "DE", "DE", "GB", "GB", "FR", "IN", "IN", "BR", "JP", "CA", "AU", "NL", "ES", "IT", "PL",
    "SE", "CH", "AT", "DK", "NO",
];
const DEVICES: [&str; 5] = ["phone", "phone", "desktop", "tablet", "tv"];
const PLANS: [&str; 4] = ["free", "free", "pro", "team"];

/// One event as a line of native JSON, with its line end.
pub fn line(random: &mut Random, now: Timestamp) -> String {
    let (high, low) = (random.bits(), random.bits());
    let name = random.pick(&NAMES);
    let actor = random.below(random_actors(high));
    let time = now.plus_micros(-(random.below(3_600_000_000) as i64));
    let mut line = format!(
        "{{\"id\":\"{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}\",\"source\":\"web\",\"name\":\"{name}\",\"actor\":\"u_{actor:012x}\",\"time\":\"{time}\",\"properties\":{{",
        high >> 32,
        (high >> 16) & 0xFFFF,
        high & 0xFFF,
        (low >> 48) & 0xFFF,
        low & 0xFFFF_FFFF_FFFF,
    );
    write!(
        line,
        "\"country\":\"{}\",\"plan\":\"{}\",\"device\":\"{}\",\"path\":\"/p/{}/item-{}\",\"duration_ms\":{},\"sid\":\"{:010x}\",\"ref\":\"google\",\"v\":\"3.12.0\",\"ab\":{}",
        random.pick(&COUNTRIES), random.pick(&PLANS), random.pick(&DEVICES), random.below(40), random.below(5_000),
        random.below(100_000), random.bits() & 0xFF_FFFF_FFFF, random.below(16),
    )
    .expect("a String takes every write");
    if name == "purchase" {
        write!(line, ",\"amount\":{}.{:02}", random.below(300), random.below(100)).expect("a String takes every write");
    }
    line.push_str("}}\n");
    line
}

/// Few actors come often.
fn random_actors(bits: u64) -> u64 {
    if bits.is_multiple_of(4) { 1_000_000 } else { 20_000 }
}

/// The definition of one of 20 insights of counts and sums.
pub fn definition(at: usize) -> String {
    let head = format!("insight: door_{at}\ntype: standard\n");
    let rest = match at {
        0 => "from: '*'\nmetrics: { events: count(*) }\nby: [country]\n".to_owned(),
        1 => "from: purchase\nmetrics: { orders: count(*), revenue: sum(amount) }\nby: [country]\n".to_owned(),
        2 => "from: '*'\nmetrics: { events: count(*), spent: sum(duration_ms) }\n".to_owned(),
        3 => "from: '*'\nmetrics: { events: count(*) }\nby: [device, plan]\n".to_owned(),
        4 => "from: page_view\nmetrics: { views: count(*), spent: sum(duration_ms) }\nby: [device]\n".to_owned(),
        at => {
            let name = NAMES[at % NAMES.len()];
            let by = ["country", "device", "plan", "ab"][at % 4];
            format!(
                "from: {name}\nwhere: duration_ms > {}\nmetrics: {{ n: count(*), ms: sum(duration_ms) }}\nby: [{by}]\n",
                at * 1_000
            )
        }
    };
    format!("{head}{rest}timezone: Europe/Berlin\n")
}

/// Writes the 20 definitions as files.
pub fn write_definitions(folder: &str) {
    std::fs::create_dir_all(folder).expect("the folder can be made");
    for at in 0..20 {
        std::fs::write(format!("{folder}/door_{at}.yaml"), definition(at)).expect("the folder can be written");
    }
}
