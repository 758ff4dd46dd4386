use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, SystemTime},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Returned, Saying, fresh_id};
use crate::{
    AnyEvent, Event, EventSet, Format, Metadata,
    envelope::{Message, decode},
};

#[derive(Serialize, Deserialize, JsonSchema)]
struct StockUpdated {
    item: String,
}

impl Event for StockUpdated {
    const NAME: &'static str = "stock_updated";
    const VERSION: u32 = 3;
    const EXCHANGE: Option<&'static str> = Some("stock");

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.item))
    }
}

/// Serde writes no map whose keys are maps.
#[derive(Deserialize, JsonSchema)]
struct Unwritable {}

impl Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("cannot be written"))
    }
}

impl Event for Unwritable {
    const NAME: &'static str = "unwritable";
}

fn stock(item: &str) -> StockUpdated {
    StockUpdated { item: item.to_owned() }
}

fn cause(id: Option<&str>) -> Metadata {
    Metadata {
        id: id.map(Into::into),
        source: Some("shop".into()),
        version: Some(9),
        causation_id: Some("before".into()),
        key: Some("order".into()),
        trace_parent: Some("00-1-2-01".to_owned()),
        trace_state: Some("s".to_owned()),
        entries: [("tenant".to_owned(), "acme".into())].into(),
        ..Metadata::default()
    }
}

fn returned_by(queue: &str, cause: &Metadata, format: Format) -> Returned {
    let saying = Saying { service: "inventory".into(), exchange: "events".into(), format };
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_750_000_000_123);
    Returned::new(Arc::new(saying), Arc::from(queue), Some(cause), fresh_id, now)
}

fn ids(queue: &str, cause: &Metadata, items: &[&str]) -> Vec<String> {
    let mut returned = returned_by(queue, cause, Format::Default);
    items.iter().for_each(|item| returned.push(&stock(item)));
    let messages = returned.into_messages().unwrap();
    messages.into_iter().map(|message| message.properties.message_id.unwrap().to_string()).collect()
}

fn read(message: &Message) -> Metadata {
    decode(message, None).unwrap().metadata().unwrap().clone()
}

#[test]
fn a_returned_event_says_where_it_came_from() {
    for format in [Format::Default, Format::Bare] {
        let mut returned = returned_by("inventory.reserve_stock", &cause(Some("c")), format);
        returned.push(&stock("hat"));
        returned.push(&AnyEvent::new("audited", &1).unwrap());
        let messages = returned.into_messages().unwrap();
        let [first, second] = &*messages else { panic!("not two") };
        let expected = Metadata {
            id: first.properties.message_id.clone(),
            source: Some("inventory".into()),
            time: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_750_000_000_123)),
            version: Some(3),
            // The cause began it: what has no correlation id is the first of its kind.
            correlation_id: Some("c".into()),
            causation_id: Some("c".into()),
            key: Some("hat".into()),
            trace_parent: Some("00-1-2-01".to_owned()),
            trace_state: Some("s".to_owned()),
            entries: [].into(),
        };
        assert_eq!(read(first), expected);
        assert_eq!((first.exchange.as_str(), first.routing_key.as_str()), ("stock", "stock_updated"));
        assert_eq!((second.exchange.as_str(), second.routing_key.as_str()), ("events", "audited"));
        assert_eq!((read(second).version(), read(second).key()), (Some(1), None));
        assert_eq!(StockUpdated::decode(decode(first, None).unwrap().payload()).unwrap().item, "hat");
    }
}

#[test]
fn a_correlation_goes_on() {
    let cause = Metadata { correlation_id: Some("beginning".into()), ..cause(Some("c")) };
    let mut returned = returned_by("q", &cause, Format::Default);
    returned.push(&stock("hat"));
    let metadata = read(&returned.into_messages().unwrap()[0]);
    assert_eq!((metadata.correlation_id(), metadata.causation_id()), (Some("beginning"), Some("c")));
}

#[test]
fn a_cause_that_comes_again_gives_the_same_ids() {
    let items = ["hat", "hat", "shoe", "hat"];
    let first = ids("q", &cause(Some("c")), &items);
    assert_eq!(ids("q", &cause(Some("c")), &items), first);
    // Never to change.
    assert_eq!(first[0], "91ed2093-8a6f-5980-b8cc-c0c6310d90e0");
    assert_eq!(first[3], "a50b2138-d240-5f49-b96e-1ab4aa4a69ee");
    let mut distinct = first.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 4);
}

#[test]
fn an_id_depends_on_what_is_alike_and_came_before_alone() {
    let whole = ids("q", &cause(Some("c")), &["hat", "shoe", "hat"]);
    // In another order, and with others between, each keeps its own.
    assert_eq!(ids("q", &cause(Some("c")), &["shoe", "hat", "coat", "hat"]), {
        let coat = ids("q", &cause(Some("c")), &["coat"]).remove(0);
        [whole[1].clone(), whole[0].clone(), coat, whole[2].clone()]
    });
    assert_ne!(ids("other", &cause(Some("c")), &["hat"])[0], whole[0]);
    assert_ne!(ids("q", &cause(Some("d")), &["hat"])[0], whole[0]);
}

#[test]
fn a_cause_without_an_id_shares_one_among_its_events() {
    let both = |returned: Returned| {
        let messages = returned.into_messages().unwrap();
        messages.iter().map(read).collect::<Vec<_>>()
    };
    let run = || {
        let mut returned = returned_by("q", &cause(None), Format::Default);
        returned.push(&stock("hat"));
        returned.push(&stock("hat"));
        both(returned)
    };
    let (one, other) = (run(), run());
    assert_eq!(one[0].correlation_id(), one[1].correlation_id());
    assert_ne!(one[0].id(), one[1].id());
    assert_ne!(one[0].id(), other[0].id());
}

#[test]
fn one_event_that_cannot_be_written_fails_them_all() {
    let mut returned = returned_by("q", &cause(Some("c")), Format::Default);
    returned.push(&stock("hat"));
    returned.push(&Unwritable {});
    returned.push(&stock("hat"));
    let error = returned.into_messages().unwrap_err();
    assert_eq!(error.to_string(), "event `unwritable` cannot be written as JSON: cannot be written");
}
