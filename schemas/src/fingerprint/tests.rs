use super::*;
use crate::definition::parse;

const BASE: &str = "\
insight: revenue
from: [order_completed, order_refunded]
where: status = 'paid' and amount > 0
metrics:
  orders: count(*)
  revenue: sum(amount) filter (where plan in ('a', 'b'))
  p95: quantile(amount, 0.95)
by: [country]
timezone: Asia/Kolkata
";

fn of(text: &str) -> String {
    let parsed = parse("f", text).unwrap_or_else(|found| panic!("{}", found[0]));
    fingerprint(&parsed[0].definition)
}

#[test]
fn it_never_changes() {
    assert_eq!(of(BASE), "6ed5d7de9c1ae4f059235a3164147550");
    assert_eq!(of("insight: a\nfrom: '*'\nmetrics: {n: count(*)}"), "82c8ec0793628d17de18abfb922c1b5e");
}

#[test]
fn what_does_not_change_the_meaning_does_not_change_it() {
    let same = [
        format!("# a comment\n{BASE}"),
        BASE.replace("revenue\nfrom", "sales\nfrom"),
        BASE.replace("[order_completed, order_refunded]", "[order_refunded, order_completed, order_refunded]"),
        BASE.replace("status = 'paid' and amount > 0", "(\"status\" == 'paid') AND (0 < amount)"),
        BASE.replace("('a', 'b')", "( 'b','a','b' )"),
        BASE.replace("0.95", "0.950"),
        BASE.replace("[country]", "country"),
        format!("title: T\nowner: me\nrefresh: 1h\ntype: standard\ntop: 25\nweek_start: sunday\n{BASE}"),
        format!("{BASE}alerts: [{{when: orders < 1, window: day, notify: ops}}]\n"),
        format!("timezone: Asia/Kolkata\n{}", BASE.replace("timezone: Asia/Kolkata\n", "")),
        BASE.replace("where: status = 'paid' and amount > 0", "where: |\n  status = 'paid'\n  and amount > 0"),
    ];
    for text in same {
        assert_eq!(of(&text), of(BASE), "{text}");
    }
}

#[test]
fn every_change_of_meaning_changes_it() {
    let mut all = vec![of(BASE)];
    for (old, new) in [
        ("insight: revenue\n", "insight: revenue\nsource: web\n"),
        ("[order_completed, order_refunded]", "order_completed"),
        ("[order_completed, order_refunded]", "'*'"),
        ("where: status = 'paid' and amount > 0\n", ""),
        ("'paid'", "'Paid'"),
        ("amount > 0", "amount >= 0"),
        ("amount > 0", "amount > -0.1"),
        ("and amount", "or amount"),
        ("status =", "state ="),
        ("status = 'paid'", "not status = 'paid'"),
        ("status = 'paid'", "status like 'paid'"),
        ("status = 'paid'", "status ilike 'paid'"),
        ("status = 'paid'", "lower(status) = 'paid'"),
        ("status = 'paid'", "status is null"),
        ("orders: count(*)", "orders: count(id)"),
        ("orders: count(*)", "orders: count(actor)"),
        ("orders: count(*)", "orders: count(distinct actor)"),
        ("orders: count(*)", "orders: approx_count_distinct(actor)"),
        ("orders: count(*)", "sales: count(*)"),
        ("sum(amount)", "avg(amount)"),
        ("sum(amount)", "min(amount)"),
        ("sum(amount)", "max(amount)"),
        ("sum(amount)", "sum(amount + 1)"),
        ("sum(amount)", "sum(amount - 1)"),
        (" filter (where plan in ('a', 'b'))", ""),
        ("('a', 'b')", "('a', 'c')"),
        ("0.95", "0.9"),
        ("by: [country]\n", ""),
        ("[country]", "[country, plan]"),
        ("[country]", "[plan, country]"),
        ("[country]\n", "[country]\ntop: 10\n"),
        ("Kolkata", "Tokyo"),
        ("timezone", "week_start: monday\ntimezone"),
        (
            "  orders: count(*)\n  revenue: sum(amount) filter (where plan in ('a', 'b'))\n",
            "  revenue: sum(amount) filter (where plan in ('a', 'b'))\n  orders: count(*)\n",
        ),
    ] {
        assert!(BASE.contains(old), "{old}");
        let changed = of(&BASE.replacen(old, new, 1));
        assert!(!all.contains(&changed), "{old} → {new}");
        all.push(changed);
    }
}
