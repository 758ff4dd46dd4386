//! Which queues a message reaches.

use std::collections::BTreeMap;

use super::{
    Harness,
    checks::{assert_ids, assert_same, ids, message, to},
    plan::{Plan, text},
    session::Session,
};
use crate::{
    topology::{Argument, ExchangeKind},
    transport::{Confirmed, HeaderValue},
};

const KEYS: [&str; 17] =
    ["", "a", "b", "a.b", "b.a", "a.b.c", "a.x.b", "a.x", "a.x.y.b", "a..b", "a.", ".a", ".", "aa", "b.a.x", "*", "#"];

/// The keys that have a word: an empty key has none, not even an empty one.
const WITH_WORDS: &[&str] = KEYS.split_at(1).1;

/// Patterns, and which of the keys each matches.
const PATTERNS: [(&str, &[&str]); 22] = [
    ("#", &KEYS),
    ("#.#", &KEYS),
    ("*.#", WITH_WORDS),
    ("#.*", WITH_WORDS),
    ("*", &["a", "b", "aa", "*", "#"]),
    ("*.*", &["a.b", "b.a", "a.x", "a.", ".a", "."]),
    ("*.*.*", &["a.b.c", "a.x.b", "a..b", "b.a.x"]),
    ("a", &["a"]),
    ("a.#", &["a", "a.b", "a.b.c", "a.x.b", "a.x", "a.x.y.b", "a..b", "a."]),
    ("a.*", &["a.b", "a.x", "a."]),
    ("#.a", &["a", "b.a", ".a"]),
    ("a.#.b", &["a.b", "a.x.b", "a.x.y.b", "a..b"]),
    ("a.*.b", &["a.x.b", "a..b"]),
    ("a.*.#.b", &["a.x.b", "a.x.y.b", "a..b"]),
    ("*.x", &["a.x"]),
    ("#.x.#", &["a.x.b", "a.x", "a.x.y.b", "b.a.x"]),
    ("a.b", &["a.b"]),
    ("a..b", &["a..b"]),
    ("", &[""]),
    ("a.", &["a."]),
    (".#", &[".a", "."]),
    ("*a", &[]),
];

/// A topic exchange matches words: `*` is one, `#` is any number, none included; all else is literal, and a word may be
/// empty.
pub async fn topic_patterns_match_words(harness: &impl Harness) {
    let mut plan = Plan::new().exchange("topic", ExchangeKind::Topic);
    for (pattern, _) in PATTERNS {
        let queue = format!("[{pattern}]");
        plan = plan.classic(&queue).bind("topic", &queue, pattern);
    }
    let session = Session::with(harness, plan).await;
    session.publish(KEYS.map(|key| message("topic", key, key))).await;
    for (pattern, matching) in PATTERNS {
        let received = ids(&session.drain(&format!("[{pattern}]")).await);
        assert_same(&format!("the keys that `{pattern}` matches"), received, matching);
    }
    session.close().await;
}

/// A direct exchange matches the whole key; `*` and `#` mean nothing to it.
pub async fn direct_matches_the_whole_key(harness: &impl Harness) {
    let plan = Plan::new().exchange("direct", ExchangeKind::Direct).classic("plain").classic("wild").classic("two");
    let plan = plan.bind("direct", "plain", "a").bind("direct", "wild", "#").bind("direct", "wild", "a.*");
    let plan = plan.bind("direct", "two", "a").bind("direct", "two", "b").bind("direct", "two", "");
    let session = Session::with(harness, plan).await;
    let mut sender = session.sender().await;
    for key in ["a", "b", "#", "a.*", "", "a.b", "A"] {
        sender.answer(&message("direct", key, key), false).await.expect("it is confirmed");
    }
    assert_ids("`a`", &session.drain("plain").await, ["a"]);
    assert_ids("`#` and `a.*` as they stand", &session.drain("wild").await, ["#", "a.*"]);
    assert_ids("three keys", &session.drain("two").await, ["a", "b", ""]);
    session.close().await;
}

/// A fanout exchange leads to all that is bound, whatever the keys.
pub async fn fanout_matches_all(harness: &impl Harness) {
    let plan = Plan::new().exchange("fanout", ExchangeKind::Fanout).classic("one").classic("two").classic("unbound");
    let session = Session::with(harness, plan.bind("fanout", "one", "").bind("fanout", "two", "a.b")).await;
    session.publish(["", "a", "x.y"].map(|key| message("fanout", key, key))).await;
    for queue in ["one", "two"] {
        assert_ids(queue, &session.drain(queue).await, ["", "a", "x.y"]);
    }
    assert_ids("a queue that is not bound", &session.drain("unbound").await, [""; 0]);
    session.close().await;
}

/// A headers exchange compares headers with a binding's arguments: all of them, or any by `x-match`; without arguments `all`
/// matches everything and `any` nothing. Types count, and what begins with `x-` does not.
pub async fn headers_match_all_or_any(harness: &impl Harness) {
    let any = || ("x-match", Argument::from("any"));
    let all = || ("x-match", Argument::from("all"));
    let (north, two, yes) =
        (("region", Argument::from("north")), ("level", Argument::Integer(2)), ("urgent", Argument::Bool(true)));
    let bindings = [
        ("all", vec![all(), north.clone(), two.clone()]),
        ("default", vec![north.clone(), two.clone()]),
        ("any", vec![any(), north.clone(), two.clone()]),
        ("yes", vec![all(), yes]),
        ("all of nothing", vec![all()]),
        ("any of nothing", vec![any()]),
        ("hidden", vec![all(), north.clone(), ("x-tenant", Argument::from("a"))]),
        ("text two", vec![all(), ("level", Argument::from("2"))]),
    ];
    let mut plan = Plan::new().exchange("headers", ExchangeKind::Headers);
    for (queue, arguments) in &bindings {
        plan = plan.classic(queue).bind_with("headers", queue, "ignored", arguments);
    }
    let session = Session::with(harness, plan).await;
    let messages: [(&str, &[(&str, HeaderValue)]); 7] = [
        ("none", &[]),
        ("both", &[("region", text("north")), ("level", HeaderValue::I64(2))]),
        ("more", &[("region", text("north")), ("level", HeaderValue::I64(2)), ("urgent", HeaderValue::Bool(false))]),
        ("region", &[("region", text("north"))]),
        ("other level", &[("region", text("south")), ("level", HeaderValue::I64(3))]),
        ("text", &[("level", text("2"))]),
        ("urgent", &[("urgent", HeaderValue::Bool(true)), ("x-tenant", text("b"))]),
    ];
    session
        .publish(messages.map(|(id, headers)| {
            let mut message = message("headers", "any key", id);
            message.properties.headers =
                headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            message
        }))
        .await;
    let expected = BTreeMap::from([
        ("all", vec!["both", "more"]),
        ("default", vec!["both", "more"]),
        ("any", vec!["both", "more", "region"]),
        ("yes", vec!["urgent"]),
        ("all of nothing", vec!["none", "both", "more", "region", "other level", "text", "urgent"]),
        ("any of nothing", vec![]),
        ("hidden", vec!["both", "more", "region"]),
        ("text two", vec!["text"]),
    ]);
    for (queue, expected) in expected {
        assert_ids(&format!("the queue `{queue}`"), &session.drain(queue).await, expected);
    }
    session.close().await;
}

/// The default exchange leads to the queue of the key's name.
pub async fn the_default_exchange_leads_to_each_queue(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().classic("a.b").classic("a.c").classic("#")).await;
    session.publish(["a.b", "a.c", "#"].map(|queue| to(queue, queue))).await;
    let nowhere = session.sender().await.answer(&to("a.*", "nowhere"), true).await;
    assert!(matches!(nowhere, Ok((Confirmed::Ack, Some(_)))), "no queue has this name, but the answer was {nowhere:?}");
    for queue in ["a.b", "a.c", "#"] {
        assert_ids(queue, &session.drain(queue).await, [queue]);
    }
    session.close().await;
}

/// An exchange can be bound to another: the message goes on with its key and names the first exchange.
pub async fn exchanges_lead_to_exchanges(harness: &impl Harness) {
    let plan = Plan::new().exchange("in", ExchangeKind::Topic).exchange("by-key", ExchangeKind::Direct);
    let plan = plan.exchange("to-all", ExchangeKind::Fanout).classic("orders").classic("stock").classic("audit");
    let plan = plan.bind_exchange("in", "by-key", "order.#").bind_exchange("in", "to-all", "*.created");
    let plan =
        plan.bind("by-key", "orders", "order.created").bind("in", "stock", "stock.*").bind("to-all", "audit", "");
    let session = Session::with(harness, plan).await;
    session.publish(["order.created", "stock.created", "stock.gone"].map(|key| message("in", key, key))).await;
    let orders = session.drain("orders").await;
    assert_ids("by two exchanges", &orders, ["order.created"]);
    let first = &orders[0].message;
    assert_eq!((first.exchange.as_str(), first.routing_key.as_str()), ("in", "order.created"));
    assert_ids("by the first alone", &session.drain("stock").await, ["stock.created", "stock.gone"]);
    assert_ids("by the fanout", &session.drain("audit").await, ["order.created", "stock.created"]);
    let lost = session.sender().await.answer(&message("in", "order.gone", "lost"), true).await;
    assert!(matches!(lost, Ok((Confirmed::Ack, Some(_)))), "the second exchange has no queue for it: {lost:?}");
    session.close().await;
}

/// A cycle of exchanges comes to its end, and so does an exchange that is its own alternate exchange.
pub async fn a_cycle_of_exchanges_ends(harness: &impl Harness) {
    let plan = Plan::new().exchange("one", ExchangeKind::Topic).exchange("two", ExchangeKind::Fanout);
    let plan = plan.exchange("three", ExchangeKind::Topic).classic("a").classic("c");
    let plan =
        plan.bind_exchange("one", "two", "#").bind_exchange("two", "three", "").bind_exchange("three", "one", "#");
    let plan = plan.bind("one", "a", "#").bind("three", "c", "#");
    let narcissus = [("alternate-exchange", Argument::from("narcissus"))];
    let session = Session::with(harness, plan.exchange_with("narcissus", ExchangeKind::Direct, &narcissus)).await;
    session.publish([message("one", "x", "from one"), message("three", "x", "from three")]).await;
    for queue in ["a", "c"] {
        assert_ids(queue, &session.drain(queue).await, ["from one", "from three"]);
    }
    let lost = session.sender().await.answer(&message("narcissus", "x", "lost"), true).await;
    assert!(matches!(lost, Ok((Confirmed::Ack, Some(_)))), "nothing is bound, but the answer was {lost:?}");
    session.close().await;
}

/// A queue gets a message once, by however many bindings and ways it is reached.
pub async fn each_queue_gets_it_once(harness: &impl Harness) {
    let plan =
        Plan::new().exchange("in", ExchangeKind::Topic).exchange("beside", ExchangeKind::Fanout).classic("inbox");
    let plan =
        plan.bind("in", "inbox", "a.#").bind("in", "inbox", "a.*").bind("in", "inbox", "a.b").bind("in", "inbox", "#");
    let plan =
        plan.bind_exchange("in", "beside", "a.b").bind_exchange("in", "beside", "#").bind("beside", "inbox", "x");
    let session = Session::with(harness, plan.bind("beside", "inbox", "y")).await;
    session.publish([message("in", "a.b", "once")]).await;
    assert_ids("seven ways into one queue", &session.drain("inbox").await, ["once"]);
    session.close().await;
}

/// The headers `CC` and `BCC` are more routing keys; `CC` is delivered and `BCC` is not, and each queue still gets the
/// message once.
pub async fn copies_go_to_more_keys(harness: &impl Harness) {
    let plan = Plan::new().exchange("events", ExchangeKind::Direct).classic("to").classic("cc").classic("bcc");
    let plan = plan.classic("all").bind("events", "to", "a").bind("events", "cc", "b").bind("events", "bcc", "c");
    let plan = plan.bind("events", "all", "a").bind("events", "all", "b").bind("events", "all", "c");
    let session = Session::with(harness, plan).await;
    let keys = |keys: &[&str]| HeaderValue::Array(keys.iter().map(|key| text(key)).collect());
    let mut copied = message("events", "a", "copied");
    copied.properties.headers.insert("CC".to_owned(), keys(&["b", "nobody", "a"]));
    copied.properties.headers.insert("BCC".to_owned(), keys(&["c"]));
    session.publish([copied]).await;
    for queue in ["to", "cc", "bcc", "all"] {
        let received = session.drain(queue).await;
        assert_ids(queue, &received, ["copied"]);
        let message = &received[0].message;
        assert_eq!(message.routing_key, "a", "the message's own key stays");
        assert_eq!(message.properties.headers.get("CC"), Some(&keys(&["b", "nobody", "a"])));
        assert_eq!(message.properties.headers.get("BCC"), None);
    }
    let mut elsewhere = message("events", "nobody", "by CC alone");
    elsewhere.properties.headers.insert("CC".to_owned(), keys(&["b"]));
    session.publish([elsewhere]).await;
    assert_ids("by `CC` alone", &session.drain("cc").await, ["by CC alone"]);
    session.close().await;
}
