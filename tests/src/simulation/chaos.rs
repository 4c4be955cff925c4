//! How rough a world is: drawn from its seed, so that some are calm in one respect and wild in another.

use crate::generator::Random;

/// What goes wrong, in chances in a thousand unless it says otherwise.
#[derive(Clone, Debug)]
pub struct Chaos {
    /// A call fails before it does anything.
    pub before: u64,
    /// A write succeeds and its answer is lost.
    pub after: u64,
    /// An invocation dies where it stands, in ten thousand per port call.
    pub crash: u64,
    /// An invocation times out and goes on later, in ten thousand per port call.
    pub zombie: u64,
    /// The answer of an invocation that ended is lost, in percent.
    pub answer_lost: u64,
    /// A firing comes twice, in percent.
    pub tick_twice: u64,
    /// A firing that repeats never comes, in percent.
    pub tick_lost: u64,
    /// A send is repeated although it was answered, in percent.
    pub send_twice: u64,
    /// Each consumer of the feed is set up twice by mistake.
    pub doubled: bool,
    /// A feed shard rolls or splits, per look.
    pub reshard: u64,
    /// The clock jumps, per two thousand looks.
    pub jump: u64,
    /// Microseconds a port call takes at most.
    pub latency_micros_max: i64,
    /// Whether deliveries that fail are halved.
    pub bisects: bool,
    /// How many insights are put into effect again with another meaning.
    pub edits: u64,
    /// Days are compacted meanwhile.
    pub compacts: bool,
}

impl Chaos {
    /// The roughness of a seed.
    pub fn of(random: &mut Random) -> Chaos {
        let rough = |random: &mut Random, of: &[u64]| of[random.below(of.len() as u64) as usize];
        Chaos {
            before: rough(random, &[8, 15, 40]),
            after: rough(random, &[8, 15, 40]),
            crash: rough(random, &[0, 2, 8]),
            zombie: rough(random, &[0, 2, 8]),
            answer_lost: rough(random, &[2, 8, 25]),
            tick_twice: rough(random, &[0, 10, 30]),
            tick_lost: rough(random, &[0, 5, 20]),
            send_twice: rough(random, &[0, 10, 30]),
            doubled: random.chance(15),
            reshard: rough(random, &[0, 5, 25]),
            jump: rough(random, &[0, 5]),
            latency_micros_max: [2_000, 20_000, 200_000][random.below(3) as usize],
            bisects: random.chance(50),
            edits: rough(random, &[0, 1, 3]),
            compacts: random.chance(30),
        }
    }

    /// Nothing goes wrong any more.
    pub fn calm(&mut self) {
        let latency_micros_max = self.latency_micros_max;
        *self = Chaos {
            before: 0,
            after: 0,
            crash: 0,
            zombie: 0,
            answer_lost: 0,
            tick_twice: 0,
            tick_lost: 0,
            send_twice: 0,
            doubled: self.doubled,
            reshard: 0,
            jump: 0,
            latency_micros_max,
            bisects: self.bisects,
            edits: 0,
            compacts: false,
        };
    }
}
