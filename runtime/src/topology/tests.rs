//! The plan and its routing, held against the rules.

mod ladder;
mod plan;
mod promises;
mod routing;
mod version;

use super::{Arguments, Exchange, PlanVersion, PlannedService, PlannedSubscription, QueueType};

fn subscription(queue: &str, names: &[&str]) -> PlannedSubscription {
    PlannedSubscription {
        queue: queue.to_owned(),
        queue_type: QueueType::Quorum,
        broadcast: false,
        bindings: names.iter().map(|name| ("events".to_owned(), (*name).to_owned(), Arguments::new())).collect(),
    }
}

fn service(subscriptions: Vec<PlannedSubscription>, longest_delay: Option<u64>) -> PlannedService {
    let events = Exchange { joined: false, ..Exchange::topic("events") };
    PlannedService {
        exchanges: vec![events],
        publishes_to: vec!["events".to_owned()],
        subscriptions,
        delays: None,
        longest_delay: longest_delay.map(std::time::Duration::from_secs),
        version: PlanVersion::CURRENT,
    }
}
