//! The test harness: the same bodies on the memory broker and on RabbitMQ.

#![allow(clippy::unused_async, reason = "handlers are async functions")]

use std::time::Duration;

use rabbitry::{
    AnyEvent, Publisher, Reason, Service, State, Subscription, event,
    prelude::HandlerResultExt,
    subscribe, subscriptions,
    testing::{self, Place},
};
use rabbitry_tests::{Record, on_both, stop};

#[event("order_created")]
struct OrderCreated {
    order_id: u64,
}

#[event("stock_reserved")]
#[derive(PartialEq)]
struct StockReserved {
    order_id: u64,
}

#[event("order_shipped")]
#[derive(PartialEq)]
struct OrderShipped {
    order_id: u64,
}

/// Fails twice, then works; order 13 is hopeless, order 14 wanted by nobody.
#[subscribe("order_created", retry(attempts = 4, immediate = 0, first = "1s", factor = 2, jitter = 0.0))]
async fn reserve_stock(
    event: OrderCreated,
    State(runs): State<Record<u64>>,
) -> Result<StockReserved, rabbitry::HandlerError> {
    runs.add(event.order_id);
    let before = runs.all().iter().filter(|order_id| **order_id == event.order_id).count();
    match event.order_id {
        13 => Err("no luck")?,
        14 => Err::<(), _>("unwanted").or_reject()?,
        2 if before < 3 => Err("busy")?,
        _ => {}
    }
    Ok(StockReserved { order_id: event.order_id })
}

#[subscribe("stock_reserved")]
async fn ship(event: StockReserved) -> OrderShipped {
    OrderShipped { order_id: event.order_id }
}

fn services() -> [Service; 2] {
    let inventory = Service::new("inventory").state(Record::<u64>::default());
    [
        inventory.subscriptions(subscriptions![reserve_stock]),
        Service::new("shipping").subscriptions(subscriptions![ship]),
    ]
}

on_both! {
async fn an_instance_goes_and_another_comes(place: Place) {
    let mut test = testing::start_on(place, services()).await;
    test.start_another(Service::new("shipping").subscriptions(subscriptions![ship])).await;
    assert_eq!(test.services().len(), 3);
    test.publish(OrderCreated { order_id: 1 }).await;
    test.settled().await;
    assert_eq!(test.handled("ship").times(), 1, "instances share a queue, and are asked about as one");
    for _ in 0..2 {
        stop(test.take(1)).await;
    }
    // Nobody is left who would ship.
    test.publish(OrderCreated { order_id: 3 }).await;
    test.settled().await;
    assert_eq!((test.handled("reserve_stock").times(), test.handled("ship").times()), (2, 1));
    assert!(test.queues().contains("shipping.ship"));
    let began = test.now();
    test.start_another(Service::new("shipping").subscriptions(subscriptions![ship])).await;
    test.settled().await;
    let shipped = test.handled("shipping.ship").runs;
    assert!(shipped.len() == 2 && shipped[0].began() <= began && shipped[1].began() >= began, "{shipped:?}");
    assert_eq!(test.published::<OrderShipped>().len(), 2);
    test.shutdown().await;
}

async fn a_service_that_is_dropped_leaves_what_it_had(place: Place) {
    let stuck = Subscription::to("order_created").name("reserve_stock");
    let stuck = stuck.handler(|_: AnyEvent| std::future::pending::<()>());
    let mut test = testing::start_on(place, Service::new("inventory").subscription(stuck)).await;
    test.publish(OrderCreated { order_id: 1 }).await;
    drop(test.take(0));
    test.settled().await;
    let [inventory, _] = services();
    test.start_another(inventory).await;
    test.settled().await;
    assert_eq!(test.handled("reserve_stock").attempts(), [1]);
    assert_eq!(test.published::<StockReserved>(), [StockReserved { order_id: 1 }]);
    test.shutdown().await;
}

async fn the_way_of_some_orders(place: Place) {
    let mut test = testing::start_on(place, services()).await;
    for order_id in [1, 2, 13, 14] {
        test.publish(OrderCreated { order_id }).await;
    }
    test.settled().await;
    let mut shipped: Vec<u64> = test.published::<OrderShipped>().iter().map(|event| event.order_id).collect();
    shipped.sort_unstable();
    assert_eq!(shipped, [1, 2]);
    assert_eq!(test.published::<StockReserved>().len(), 2);
    let reserved = test.handled("reserve_stock");
    assert_eq!((reserved.times(), reserved.successes()), (1 + 3 + 4 + 1, 2));
    assert_eq!(test.handled("shipping.ship").times(), 2);
    let of_13: Vec<u32> = {
        let id = test
            .dead_letters("reserve_stock")
            .iter()
            .find(|dead| dead.error.as_deref() == Some("no luck"))
            .unwrap()
            .id
            .clone();
        reserved.runs.iter().filter(|run| run.id == id).map(|run| run.attempt).collect()
    };
    assert_eq!(of_13, [1, 2, 3, 4]);
    let mut seconds: Vec<u64> = reserved.delays().iter().map(Duration::as_secs).collect();
    seconds.sort_unstable();
    assert_eq!(seconds, [1, 1, 2, 2, 4]);
    let mut reasons: Vec<String> =
        test.dead_letters("reserve_stock").iter().filter_map(|dead| dead.reason.clone()).collect();
    reasons.sort();
    assert_eq!(reasons, ["error", "rejected"]);
    assert!(test.dead_letters("ship").is_empty());
    let rejected = reserved.runs.iter().find(|run| matches!(run.failure, Some((Reason::Rejected, _)))).unwrap();
    assert_eq!(rejected.attempt, 1);
    test.shutdown().await;
}

async fn nothing_is_lost(place: Place) {
        nothing_is_lost_when(place.clone(), |test| test.fail_confirms(3)).await;
        nothing_is_lost_when(place.clone(), testing::Test::cut_connections).await;
        nothing_is_lost_when(place.clone(), |test| test.deliver_twice("reserve_stock")).await;
        nothing_is_lost_when(place, |test| test.crash_after_effects("ship")).await;
    }
}

/// Whatever is broken, the outcome is the same.
async fn nothing_is_lost_when(place: Place, break_it: impl Fn(&testing::Test)) {
    let mut test = testing::start_on(place, services()).await;
    for order_id in 20..23 {
        break_it(&test);
        test.publish(OrderCreated { order_id }).await;
        test.settled().await;
    }
    let mut shipped: Vec<u64> = test.published::<OrderShipped>().iter().map(|event| event.order_id).collect();
    shipped.sort_unstable();
    assert_eq!(shipped, (20..23).collect::<Vec<_>>());
    assert!(test.dead_letters("reserve_stock").is_empty() && test.dead_letters("ship").is_empty());
    test.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_delivered_twice_runs_twice_and_is_published_once() {
    let mut test = testing::start(services()).await;
    test.deliver_twice("reserve_stock");
    test.publish(OrderCreated { order_id: 1 }).await;
    test.settled().await;
    assert_eq!(test.handled("reserve_stock").attempts(), [1, 1]);
    assert_eq!(test.published::<StockReserved>().len(), 1, "the same id");
    test.shutdown().await;
}

/// Hours of a broadcast handler's retries, which wait in the process.
#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_is_retried_in_no_time() {
    let seen = Record::default();
    let runs = seen.clone();
    let policy = rabbitry::RetryPolicy::default().attempts(3).immediate(0).first(Duration::from_secs(3600)).jitter(0.0);
    let refresh =
        Subscription::to("order_created").name("refresh").broadcast().retry(policy).handler(move |_: AnyEvent| {
            runs.add(());
            async { Err::<(), _>("cold") }
        });
    let mut test = testing::start(Service::new("cache").subscription(refresh)).await;
    test.publish(OrderCreated { order_id: 1 }).await;
    test.settled().await;
    assert_eq!(test.handled("refresh").attempts(), [1, 2, 3]);
    assert_eq!(test.dead_letters("refresh").len(), 1);
    assert_eq!(seen.len(), 3);
    test.shutdown().await;
}

/// The clock goes no further than to what a test waits for, and stays where a service is stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_test_looks_in_between_two_attempts() {
    const HOUR: Duration = Duration::from_secs(3600);
    let seen = Record::default();
    let service = || {
        let seen = seen.clone();
        let policy = rabbitry::RetryPolicy::default().attempts(4).immediate(0).first(HOUR).max(HOUR).jitter(0.0);
        let reserve = Subscription::to("order_created").name("reserve").retry(policy).handler(move |_: AnyEvent| {
            seen.add(());
            async { Err::<(), _>("no stock") }
        });
        Service::new("inventory").subscription(reserve)
    };
    let mut test = testing::start(service()).await;
    let began = test.now();
    test.publish(OrderCreated { order_id: 1 }).await;
    test.until(seen.wait_for(2)).await;
    let passed = test.now().duration_since(began).unwrap();
    assert!(passed >= HOUR && passed < 2 * HOUR, "{passed:?}");
    stop(test.take(0)).await;
    // The third attempt is due, and nobody is there who would make it.
    test.settled().await;
    assert_eq!(test.handled("reserve").attempts(), [1, 2]);
    assert!(test.now().duration_since(began).unwrap() >= 2 * HOUR);
    test.start_another(service()).await;
    test.settled().await;
    assert_eq!(test.handled("reserve").attempts(), [1, 2, 3, 4]);
    assert!(test.handled("inventory.reserve").gaps().iter().all(|gap| *gap >= HOUR));
    assert_eq!(test.dead_letters("reserve").len(), 1);
    test.shutdown().await;
}

/// A month's schedule, through the ladder.
#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_event_comes_at_once() {
    let remind = Subscription::to("order_created").name("remind").handler(
        |event: OrderCreated, later: Publisher<StockReserved>| async move {
            later.event(StockReserved { order_id: event.order_id }).after("30d").publish().await.map(drop)
        },
    );
    let service = Service::new("mail").schedules_up_to("31d").subscription(remind).subscriptions(subscriptions![ship]);
    let mut test = testing::start(service).await;
    test.publish(OrderCreated { order_id: 7 }).await;
    test.settled().await;
    assert_eq!(test.published::<OrderShipped>(), [OrderShipped { order_id: 7 }]);
    assert!(test.story().contains("+30days"), "{}", test.story());
    test.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told() {
    let test = testing::start(services()).await;
    let told = |what: &dyn Fn()| {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(what)).unwrap_err();
        panic.downcast_ref::<String>().cloned().unwrap_or_default()
    };
    let text = told(&|| drop(test.handled("reserve_stok")));
    assert!(
        text.contains("no handler `reserve_stok`") && text.contains("`reserve_stock` (inventory.reserve_stock)"),
        "{text}"
    );
    let text = told(&|| {
        let publishing = test.publish(OrderShipped { order_id: 1 });
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(publishing));
    });
    assert!(text.contains("no handler takes `order_shipped`") && text.contains("publish_unheard"), "{text}");
    assert!(text.contains("tests/harness.rs:"), "{text}");
    test.publish_unheard(OrderShipped { order_id: 1 }).await;
    test.shutdown().await;
}
