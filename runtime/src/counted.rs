//! What `scripts/instructions` counts: the parts that every event goes through, each as often as `TIMES` says. As tests they only
//! show that the parts do what they are counted for.

use std::{hint::black_box, sync::Arc, time::SystemTime};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::sync::Semaphore;

use crate::{
    Broker, EventSet, Format, Service, State,
    consumer::Settler,
    envelope::{self, Message},
    event::Metadata,
    handler::{Saying, fresh_id},
    transport::Settlement,
};

/// An event of about 200 bytes.
#[rabbitry_macros::event("placed", crate = crate)]
struct Placed {
    #[key]
    order_id: u64,
    total: f64,
    note: String,
}

fn placed() -> Placed {
    Placed { order_id: 71_234, total: 91.5, note: "leave it at the door".to_owned() }
}

/// How often a part is run: 1 where nobody counts.
fn times() -> u64 {
    std::env::var("TIMES").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

fn said() -> Message {
    let saying = Saying { service: "shop".into(), exchange: "events".into(), format: Format::Default };
    let metadata = Metadata {
        id: Some(fresh_id()),
        time: Some(SystemTime::UNIX_EPOCH),
        correlation_id: Some(fresh_id()),
        ..Metadata::default()
    };
    saying.say(&placed(), metadata).unwrap()
}

/// From an event to a message: its id, its envelope, its properties.
#[test]
fn encode() {
    for _ in 0..times() {
        let message = black_box(said());
        assert_eq!(message.routing_key, "placed");
    }
}

/// From a message to an event, whose metadata nobody asks for.
#[test]
fn decode() {
    let message = said();
    for _ in 0..times() {
        let incoming = envelope::decode(black_box(&message), None).unwrap();
        let event = <Placed as EventSet>::decode(incoming.payload()).unwrap();
        assert_eq!(black_box(event).order_id, 71_234);
    }
}

/// What is finished in no order becomes acknowledgements, 64 at a time.
#[test]
fn settle() {
    let mut settler = Settler::default();
    for tag in 1..=times() {
        // Two by two in the wrong order.
        settler.finish(if tag.is_multiple_of(2) { tag - 1 } else { tag + 1 });
        if tag.is_multiple_of(64) {
            assert_eq!(black_box(settler.flush()), [Settlement::AckUpTo(tag)]);
        }
    }
}

/// From the publisher to the handler, and the confirm and the acknowledgement back, all in one thread.
#[test]
fn memory() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let handled = Arc::new(Semaphore::new(0));
        let service = Service::new("shop")
            .broker(Broker::memory())
            .publishes::<Placed>()
            .state(Arc::clone(&handled))
            .subscribe("placed", async |placed: Placed, State(handled): State<Arc<Semaphore>>| {
                black_box(placed);
                handled.add_permits(1);
            });
        let running = service.start().await.unwrap();
        let publisher = running.publisher::<Placed>().unwrap();
        let mut on_their_way = FuturesUnordered::new();
        for _ in 0..times() {
            on_their_way.push(publisher.publish(placed()));
            if on_their_way.len() == 100 {
                on_their_way.next().await.unwrap().unwrap();
            }
        }
        while let Some(published) = on_their_way.next().await {
            published.unwrap();
        }
        let all = handled.acquire_many(u32::try_from(times()).unwrap()).await.unwrap();
        assert_eq!(all.num_permits(), usize::try_from(times()).unwrap());
        running.shutdown().await.unwrap();
    });
}
