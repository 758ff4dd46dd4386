//! Why and where messages died: RabbitMQ's `x-death` and the rule against circles.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::envelope::{HeaderValue, Headers};

/// Why a message left a queue other than by being acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// Its time, or the queue's, was over.
    Expired,
    /// A consumer refused it and did not want it back.
    Rejected,
    /// The queue was full.
    MaxLength,
    /// It was returned too often.
    DeliveryLimit,
}

impl Reason {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::MaxLength => "maxlen",
            Self::DeliveryLimit => "delivery_limit",
        }
    }
}

/// One death.
#[derive(Clone, Debug)]
pub(super) struct Death {
    pub(super) queue: Arc<str>,
    pub(super) reason: Reason,
    /// When, in seconds since 1970.
    pub(super) time: u64,
}

/// All deaths of a message.
#[derive(Clone, Debug, Default)]
pub(super) struct Deaths {
    /// One for each queue and reason, the latest first.
    records: Vec<Record>,
    /// Reason, queue and exchange of the first.
    first: Option<[String; 3]>,
    /// Reason, queue and exchange of the last: unlike the record's, the exchange is that of this death.
    last: Option<[String; 3]>,
}

#[derive(Clone, Debug)]
struct Record {
    queue: Arc<str>,
    reason: Reason,
    count: i64,
    /// Of the first time, like all below.
    time: u64,
    exchange: SmolStr,
    routing_keys: Vec<String>,
    original_ttl: Option<u64>,
}

impl Deaths {
    /// Adds a death: a known queue and reason counts up and moves to the front, and keeps what was written the first time.
    pub(super) fn record(&mut self, death: &Death, exchange: &SmolStr, routing_keys: Vec<String>, ttl: Option<u64>) {
        let known = self.records.iter().position(|known| known.queue == death.queue && known.reason == death.reason);
        let record = match known {
            Some(position) => {
                let known = self.records.remove(position);
                Record { count: known.count.saturating_add(1), ..known }
            }
            None => Record {
                queue: Arc::clone(&death.queue),
                reason: death.reason,
                count: 1,
                time: death.time,
                exchange: exchange.clone(),
                routing_keys,
                original_ttl: ttl,
            },
        };
        self.records.insert(0, record);
        let names = [death.reason.name(), &death.queue, exchange].map(str::to_owned);
        self.first.get_or_insert_with(|| names.clone());
        self.last = Some(names);
    }

    /// Whether the message was in this queue, and nobody has rejected it since: it would go round for ever.
    pub(super) fn circle_to(&self, queue: &str) -> bool {
        let Some(there) = self.records.iter().position(|record| record.queue.as_ref() == queue) else { return false };
        self.records.iter().take(there + 1).all(|record| record.reason != Reason::Rejected)
    }

    /// Writes the headers that tell of it, over what a client may have put there.
    pub(super) fn write(&self, headers: &mut Headers) {
        let records = self.records.iter().map(|record| HeaderValue::Table(record.table())).collect();
        headers.insert("x-death".to_owned(), HeaderValue::Array(records));
        for (which, names) in [("first", &self.first), ("last", &self.last)] {
            for (what, name) in ["reason", "queue", "exchange"].iter().zip(names.iter().flatten()) {
                headers.insert(format!("x-{which}-death-{what}"), HeaderValue::text(name));
            }
        }
    }
}

impl Record {
    fn table(&self) -> Headers {
        let mut table = Headers::from([
            ("count".to_owned(), HeaderValue::I64(self.count)),
            ("reason".to_owned(), HeaderValue::text(self.reason.name())),
            ("queue".to_owned(), HeaderValue::text(&self.queue)),
            ("time".to_owned(), HeaderValue::Timestamp(self.time)),
            ("exchange".to_owned(), HeaderValue::text(&self.exchange)),
            ("routing-keys".to_owned(), HeaderValue::Array(self.routing_keys.iter().map(HeaderValue::text).collect())),
        ]);
        if let Some(ttl) = self.original_ttl {
            table.insert("original-expiration".to_owned(), HeaderValue::text(ttl.to_string()));
        }
        table
    }
}
