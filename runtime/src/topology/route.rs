//! Where a message would go: RabbitMQ's routing rules over a plan.

use std::collections::BTreeSet;

use super::{Argument, Destination, ExchangeKind, Topology, topic};

impl Topology {
    /// The queues of this plan that a message with this routing key reaches from an exchange, sorted by name: through
    /// bindings between exchanges and alternate exchanges too. Bindings by headers are not looked at.
    #[must_use]
    pub fn queues_for(&self, exchange: &str, routing_key: &str) -> Vec<&str> {
        self.queues_for_any(exchange, &[routing_key])
    }

    /// The same for a message with several routing keys, as the `CC` header gives it.
    pub(crate) fn queues_for_any(&self, exchange: &str, routing_keys: &[&str]) -> Vec<&str> {
        let mut queues = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut exchanges = vec![exchange];
        // Like the broker's: each exchange is asked once, so bindings in a circle end.
        while let Some(name) = exchanges.pop() {
            let Some(exchange) = self.exchanges.iter().find(|exchange| exchange.name == name) else { continue };
            if !seen.insert(name) {
                continue;
            }
            let mut routed = false;
            for binding in self.bindings.iter().filter(|binding| binding.source == name) {
                if routing_keys.iter().any(|key| routes(exchange.kind, &binding.routing_key, key)) {
                    routed = true;
                    match &binding.destination {
                        Destination::Queue(queue) => _ = queues.insert(queue.as_str()),
                        Destination::Exchange(exchange) => exchanges.push(exchange),
                    }
                }
            }
            if let (false, Some(Argument::Text(alternate))) = (routed, exchange.arguments.get("alternate-exchange")) {
                exchanges.push(alternate);
            }
        }
        queues.into_iter().collect()
    }
}

fn routes(kind: ExchangeKind, binding_key: &str, routing_key: &str) -> bool {
    match kind {
        ExchangeKind::Topic => topic::matches(&topic::words(binding_key), &topic::words(routing_key)),
        ExchangeKind::Direct => binding_key == routing_key,
        ExchangeKind::Fanout => true,
        ExchangeKind::Headers => false,
    }
}
