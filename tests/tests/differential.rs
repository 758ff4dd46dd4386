//! The memory broker and RabbitMQ, asked the same: random sequences of operations go to both, and whatever can be seen of
//! them afterwards must be equal.
//!
//! `SEED=` chooses where the sequences begin, `RUNS=` how many there are. A failure names its sequence: `SEED=n RUNS=1` plays it again.

mod differential {
    mod observed;
    mod sequence;
    mod side;

    use std::fmt::Write as _;

    use futures_util::{StreamExt, stream};
    use rabbitry::{Broker, testing::MemoryBroker};
    use rabbitry_tests::TestBroker;

    use self::{
        sequence::{Operation, Plan},
        side::Side,
    };

    /// How many sequences are played by default, from seed 1 on.
    const RUNS: u64 = 500;
    /// How many at a time.
    const AT_ONCE: usize = 8;

    fn number(variable: &str, default: u64) -> u64 {
        std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn both_brokers_answer_alike() {
        let (first, runs) = (number("SEED", 1), number("RUNS", RUNS));
        println!("SEED={first} RUNS={runs}");
        let broker = TestBroker::new().await;
        let url = broker.url();
        let differences: Vec<String> = stream::iter(first..first + runs)
            .map(|seed| tokio::spawn(play(seed, url.clone())))
            .buffer_unordered(AT_ONCE)
            .filter_map(async |played| played.expect("a sequence is played to its end"))
            .collect()
            .await;
        let first: String = differences.iter().take(3).map(|difference| format!("{difference}\n\n")).collect();
        assert!(differences.is_empty(), "{} of {runs} sequences differ:\n\n{first}", differences.len());
    }

    /// Plays a sequence on both; what differs, with all that led to it.
    async fn play(seed: u64, url: String) -> Option<String> {
        let plan = Plan::random(seed);
        let broker = MemoryBroker::new();
        let mut memory = Side::new(broker.broker(), Some(broker), seed).await;
        let mut rabbit = Side::new(Broker::amqp(url), None, seed).await;
        memory.declare(&plan).await;
        rabbit.declare(&plan).await;
        let mut story = format!("SEED={seed} RUNS=1\n{plan}");
        let mut difference = None;
        for operation in &plan.operations {
            let _ = writeln!(story, "{operation:?}");
            let (ours, theirs) = (memory.perform(operation).await, rabbit.perform(operation).await);
            if ours != theirs {
                difference = Some(format!("answer:\n  memory   {ours:?}\n  RabbitMQ {theirs:?}"));
                break;
            }
            // The memory broker says at once what follows, and RabbitMQ must come to the same.
            let expected = memory.what_follows().await;
            if let Err(seen) = rabbit.comes_to(&expected).await {
                difference = Some(format!("what follows:\n  memory   {expected}\n  RabbitMQ {seen}"));
                break;
            }
        }
        memory.end().await;
        rabbit.end().await;
        difference.map(|difference| format!("{story}{difference}"))
    }

    /// Whether a sequence has an operation of some kind at all: a generator that forgets one proves nothing.
    #[test]
    fn every_operation_is_among_the_default_sequences() {
        let mut kinds = std::collections::BTreeMap::new();
        for operation in (1..=RUNS).flat_map(|seed| Plan::random(seed).operations) {
            *kinds.entry(operation.kind()).or_insert(0) += 1;
        }
        for kind in Operation::KINDS {
            assert!(kinds.get(kind).is_some_and(|count| *count > 50), "{kind}: {kinds:?}");
        }
    }
}
