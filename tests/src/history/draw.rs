//! Draws: seeded numbers of the shapes that real traffic has.

use crate::generator::Random;

/// The words events are made of, most frequent first.
pub const NAMES: [&str; 30] = [
    "page_view",
    "product_view",
    "search",
    "scroll_depth",
    "add_to_cart",
    "login",
    "video_play",
    "checkout_start",
    "filter_apply",
    "purchase",
    "remove_from_cart",
    "wishlist_add",
    "signup",
    "share",
    "review_read",
    "review_write",
    "coupon_apply",
    "newsletter_subscribe",
    "app_open",
    "app_background",
    "push_received",
    "push_opened",
    "email_open",
    "email_click",
    "support_chat",
    "refund_request",
    "settings_change",
    "error_shown",
    "experiment_exposure",
    "logout",
];
/// Devices.
pub const DEVICES: [&str; 5] = ["mobile_web", "desktop", "ios", "android", "tablet"];
/// Plans.
pub const PLANS: [&str; 4] = ["free", "starter", "pro", "enterprise"];
/// Countries, most frequent first.
pub const COUNTRIES: &str = "US IN BR GB DE FR CA MX JP ES IT AU NL PL ID TR KR SE AR CO PH VN TH ZA NG EG PK BD MY SG \
                             CH AT BE DK NO FI PT IE CZ RO HU GR UA IL AE SA CL PE EC NZ HK TW KE GH MA TN LK NP UY CR";

/// One number scattered over 64 bits.
pub fn mix(number: u64) -> u64 {
    Random::of(number).bits()
}

/// From 0 up to 1.
pub fn unit(random: &mut Random) -> f64 {
    (random.bits() >> 11) as f64 / (1u64 << 53) as f64
}

/// Exponential with mean 1.
pub fn exponential(random: &mut Random) -> f64 {
    -(1.0 - unit(random)).ln()
}

/// Nearly normal, mean 0 and deviation 1: twelve uniform ones added, in three draws.
pub fn normal(random: &mut Random) -> f64 {
    let quarters = |bits: u64| (0..4).map(|at| (bits >> (16 * at) & 0xFFFF) as f64).sum::<f64>() / 65_536.0;
    quarters(random.bits()) + quarters(random.bits()) + quarters(random.bits()) - 6.0
}

/// The first of many is the most frequent.
pub struct Zipf(Vec<u64>);

impl Zipf {
    /// Of so many, with an exponent.
    pub fn new(count: usize, exponent: f64) -> Zipf {
        let weights: Vec<f64> = (1..=count).map(|rank| (rank as f64).powf(-exponent)).collect();
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let ends = weights.iter().map(|weight| {
            sum += weight;
            (sum / total * u64::MAX as f64) as u64
        });
        Zipf(ends.collect())
    }

    /// The one that 64 random bits choose.
    pub fn at(&self, bits: u64) -> usize {
        self.0.partition_point(|end| *end < bits).min(self.0.len() - 1)
    }
}
