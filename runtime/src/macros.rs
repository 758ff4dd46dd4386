//! The macros, with their documentation.

#[doc = include_str!("docs/event.md")]
pub use rabbitry_macros::event;

#[doc = include_str!("docs/payload.md")]
pub use rabbitry_macros::payload;

#[doc = include_str!("docs/event_set.md")]
pub use rabbitry_macros::EventSet;

#[doc = include_str!("docs/subscribe.md")]
pub use rabbitry_macros::subscribe;

#[doc = include_str!("docs/subscriptions.md")]
pub use rabbitry_macros::subscriptions;

#[cfg(test)]
mod tests {
    use crate::event::{DecodeError, Event, EventSet, Payload};

    #[rabbitry_macros::event("order_created", crate = crate)]
    struct OrderCreated {
        order_id: i64,
    }

    #[rabbitry_macros::event("order_cancelled", crate = crate)]
    struct OrderCancelled {
        order_id: i64,
    }

    #[derive(Debug, rabbitry_macros::EventSet)]
    #[event_set(crate = crate)]
    enum OrderEvent {
        Created(OrderCreated),
        Cancelled(OrderCancelled),
    }

    #[test]
    fn a_set_reads_each_of_its_events_and_no_other() {
        let read = |name, data: &str| OrderEvent::decode(Payload::new(name, 1, data.as_bytes()));
        let created = read(OrderCreated::NAME, r#"{"order_id":7}"#).unwrap();
        assert!(matches!(created, OrderEvent::Created(event) if event.order_id == 7));
        let cancelled = read(OrderCancelled::NAME, r#"{"order_id":8}"#).unwrap();
        assert!(matches!(cancelled, OrderEvent::Cancelled(event) if event.order_id == 8));

        let other = read("order_paid", r#"{"order_id":7}"#).unwrap_err();
        assert!(
            matches!(&other, DecodeError::Unexpected { event, expected }
                if event == "order_paid" && expected == "order_created, order_cancelled"),
            "{other}"
        );
        assert!(matches!(read("order_created", "{}").unwrap_err(), DecodeError::Data { .. }));
    }
}
