//! Routing as RabbitMQ does it.

use proptest::{collection, prelude::*};

use crate::{
    Exchange, ExchangeKind, Topology,
    topology::{Argument, Arguments, Binding, Destination},
};

/// A plan of exchanges, each with its type and its alternate exchange, and of bindings: source, key, destination; a destination
/// in capitals is an exchange.
fn topology(exchanges: &[(&str, ExchangeKind, Option<&str>)], bindings: &[(&str, &str, &str)]) -> Topology {
    let exchange = |(name, kind, alternate): &(&str, ExchangeKind, Option<&str>)| Exchange {
        arguments: alternate
            .iter()
            .map(|alternate| ("alternate-exchange".to_owned(), Argument::from(*alternate)))
            .collect(),
        ..Exchange::named(*name, *kind)
    };
    let binding = |(source, key, to): &(&str, &str, &str)| {
        let is_exchange = to.chars().all(char::is_uppercase);
        let destination = if is_exchange { Destination::Exchange } else { Destination::Queue };
        Binding::new(source, destination((*to).to_owned()), (*key).to_owned())
    };
    Topology {
        exchanges: exchanges.iter().map(exchange).collect(),
        bindings: bindings.iter().map(binding).collect(),
        ..Topology::default()
    }
}

fn matches(pattern: &str, key: &str) -> bool {
    let topology = topology(&[("E", ExchangeKind::Topic, None)], &[("E", pattern, "q")]);
    !topology.queues_for("E", key).is_empty()
}

#[test]
fn topic_keys() {
    let cases = [
        ("order.created", "order.created", true),
        ("order.created", "order", false),
        ("order", "order.created", false),
        ("order.*", "order.created", true),
        ("order.*", "order", false),
        ("order.*", "order.", true),
        ("order.*", "order.created.eu", false),
        ("*.created", "order.created", true),
        ("*", "", false),
        ("*", "order", true),
        ("#", "", true),
        ("#", "order.created.eu", true),
        ("order.#", "order", true),
        ("order.#", "order.created.eu", true),
        ("order.#", "orders", false),
        ("#.eu", "eu", true),
        ("#.eu", "order.created.eu", true),
        ("#.eu", "order.created.us", false),
        ("order.#.eu", "order.eu", true),
        ("order.#.eu", "order.created.now.eu", true),
        ("#.*", "", false),
        ("#.*", "order", true),
        ("*.#.*", "order", false),
        ("#.#", "", true),
        ("", "", true),
        ("", "order", false),
        (".", ".", true),
        ("*.*", ".", true),
        ("a*", "ab", false),
        ("a*", "a*", true),
        ("Order", "order", false),
    ];
    for (pattern, key, expected) in cases {
        assert_eq!(matches(pattern, key), expected, "`{pattern}` and `{key}`");
    }
}

#[test]
fn each_type_of_exchange_routes_its_own_way() {
    let by = |kind| {
        let topology =
            topology(&[("E", kind, None)], &[("E", "a.*", "wild"), ("E", "a.b", "exact"), ("E", "c", "other")]);
        topology.queues_for("E", "a.b").iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(by(ExchangeKind::Topic), ["exact", "wild"]);
    assert_eq!(by(ExchangeKind::Direct), ["exact"]);
    assert_eq!(by(ExchangeKind::Fanout), ["exact", "other", "wild"]);
    assert!(by(ExchangeKind::Headers).is_empty());
}

#[test]
fn an_alternate_exchange_takes_what_no_binding_does() {
    let topology = topology(
        &[
            ("E", ExchangeKind::Topic, Some("A")),
            ("A", ExchangeKind::Fanout, None),
            ("DEAF", ExchangeKind::Topic, Some("A")),
            ("MUTE", ExchangeKind::Topic, None),
        ],
        &[("E", "a", "q"), ("A", "", "parked"), ("E", "b", "MUTE"), ("E", "c", "DEAF"), ("E", "d", "GONE")],
    );
    assert_eq!(topology.queues_for("E", "a"), ["q"]);
    assert_eq!(topology.queues_for("E", "x"), ["parked"]);
    // A binding to an exchange counts as one, wherever it leads.
    assert!(topology.queues_for("E", "b").is_empty());
    assert_eq!(topology.queues_for("E", "c"), ["parked"]);
    assert!(topology.queues_for("E", "d").is_empty());
    assert!(topology.queues_for("GONE", "a").is_empty());
}

#[test]
fn circles_end_and_no_queue_gets_two() {
    let topology = topology(
        &[("A", ExchangeKind::Topic, Some("B")), ("B", ExchangeKind::Fanout, Some("A"))],
        &[("A", "#", "B"), ("B", "", "A"), ("A", "a", "q"), ("A", "*", "q"), ("B", "", "q")],
    );
    assert_eq!(topology.queues_for("A", "a"), ["q"]);
    assert_eq!(topology.queues_for("B", "a"), ["q"]);
}

#[test]
fn several_keys_reach_what_any_of_them_reaches() {
    let topology =
        topology(&[("E", ExchangeKind::Topic, None)], &[("E", "a", "one"), ("E", "b", "two"), ("E", "#", "all")]);
    assert_eq!(topology.queues_for_any("E", &["a", "b"]), ["all", "one", "two"]);
    assert!(topology.queues_for_any("E", &[]).is_empty());
}

#[test]
fn bindings_by_headers_are_left_alone() {
    let mut topology = topology(&[("E", ExchangeKind::Headers, None)], &[("E", "", "q")]);
    topology.bindings[0].arguments = Arguments::from([("x-match".to_owned(), Argument::from("any"))]);
    assert!(topology.queues_for("E", "").is_empty());
}

/// All that a pattern can stand for, tried one by one: the words that each `#` takes, counted like the digits of a number.
fn naively_matches(pattern: &[&str], key: &[&str]) -> bool {
    let many = pattern.iter().filter(|word| **word == "#").count();
    let base = key.len() + 1;
    (0..base.pow(u32::try_from(many).unwrap())).any(|mut lengths| {
        let mut spread = Vec::new();
        for word in pattern {
            if *word == "#" {
                spread.extend(std::iter::repeat_n("*", lengths % base));
                lengths /= base;
            } else {
                spread.push(*word);
            }
        }
        spread.len() == key.len() && spread.iter().zip(key).all(|(word, key)| *word == "*" || word == key)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn topics_match_like_the_naive_way(
        pattern in collection::vec(proptest::sample::select(vec!["a", "b", "*", "#", ""]), 1..6),
        key in collection::vec(proptest::sample::select(vec!["a", "b", ""]), 1..6),
    ) {
        // One empty word is written like no word at all.
        prop_assume!(pattern != [""] && key != [""]);
        prop_assert_eq!(matches(&pattern.join("."), &key.join(".")), naively_matches(&pattern, &key));
    }
}
