//! What is written on dead letters, and where they go.

use super::*;

fn records(delivery: &Delivery) -> Vec<String> {
    let Some(HeaderValue::Array(records)) = header(delivery, "x-death") else { return Vec::new() };
    let text = |value: &HeaderValue| match value {
        HeaderValue::Array(values) => values.iter().filter_map(HeaderValue::as_text).collect::<Vec<_>>().join("+"),
        HeaderValue::Timestamp(seconds) => format!("@{seconds}"),
        value => value.as_text().map_or_else(|| value.as_integer().unwrap().to_string(), str::to_owned),
    };
    let record = |record: &HeaderValue| {
        let HeaderValue::Table(table) = record else { panic!("{record:?}") };
        table.iter().map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join(" ")
    };
    records.iter().map(record).collect()
}

fn deaths(delivery: &Delivery, which: &str) -> [String; 3] {
    ["reason", "queue", "exchange"].map(|what| {
        let value = header(delivery, &format!("x-{which}-death-{what}")).unwrap();
        value.as_text().unwrap().to_owned()
    })
}

#[test]
fn each_reason_is_written_down() {
    let mut broker = Broker::new();
    broker.exchange("dlx", ExchangeKind::Topic, &[]);
    broker.classic("dead", &[]);
    broker.bind("dlx", "#", "dead");
    let to_dlx = ("x-dead-letter-exchange", Argument::from("dlx"));
    let limit = |name: &'static str| vec![to_dlx.clone(), (name, Argument::from(0))];
    for (reason, more) in [
        ("rejected", vec![to_dlx.clone()]),
        ("delivery_limit", limit("x-delivery-limit")),
        ("expired", limit("x-message-ttl")),
        ("maxlen", limit("x-max-length")),
    ] {
        broker.quorum(reason, &more);
        let keys = |key: &str| HeaderValue::Array(vec![HeaderValue::text(key)]);
        let headers = [
            ("CC".to_owned(), keys("copy")),
            ("BCC".to_owned(), keys("blind")),
            ("x-death".to_owned(), HeaderValue::text("mine")),
        ];
        let properties =
            Properties { headers: headers.into(), expiration: Some("050".into()), ..Properties::default() };
        broker.bind("amq.topic", reason, reason);
        broker.publish("amq.topic", reason, reason, properties).unwrap();
        match (reason, broker.get(reason)) {
            ("rejected", Some(delivery)) => {
                assert_eq!(delivery.message.properties.expiration.as_deref(), Some("50"));
                broker.reject(CHANNEL, delivery.tag);
            }
            ("delivery_limit", Some(delivery)) => broker.requeue(CHANNEL, delivery.tag),
            ("expired", Some(delivery)) => broker.requeue(CHANNEL, delivery.tag),
            (_, delivery) => assert!(delivery.is_none()),
        }
        broker.pass(1);
        let delivery = broker.get("dead").unwrap();
        broker.ack(CHANNEL, delivery.tag);
        let time = broker.now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(
            records(&delivery),
            [format!(
                "count=1 exchange=amq.topic original-expiration=50 queue={reason} reason={reason} \
                 routing-keys={reason}+copy time=@{time}"
            )]
        );
        assert_eq!(deaths(&delivery, "first"), [reason, reason, "amq.topic"].map(str::to_owned));
        assert_eq!(deaths(&delivery, "last"), deaths(&delivery, "first"));
        assert_eq!(delivery.message.properties.expiration, None);
        assert_eq!((delivery.message.exchange.as_str(), delivery.message.routing_key.as_str()), ("dlx", reason));
        assert_eq!(header(&delivery, "CC"), Some(keys("copy")));
    }
}

#[test]
fn without_a_routing_key_all_keys_of_the_message_count_again() {
    let mut broker = Broker::new();
    broker.exchange("dlx", ExchangeKind::Direct, &[]);
    broker.quorum("q", &[("x-dead-letter-exchange", Argument::from("dlx"))]);
    for name in ["q-dead", "copy", "blind"] {
        broker.classic(name, &[]);
        broker.bind("dlx", name.trim_end_matches("-dead"), name);
    }
    let keys = |key: &str| HeaderValue::Array(vec![HeaderValue::text(key)]);
    let headers = [("CC".to_owned(), keys("copy")), ("BCC".to_owned(), keys("blind"))].into();
    broker.publish("", "q", "", Properties { headers, ..Properties::default() }).unwrap();
    for name in ["copy", "blind"] {
        broker.drain(name);
    }
    let tag = broker.get("q").unwrap().tag;
    broker.reject(CHANNEL, tag);
    for name in ["q-dead", "copy", "blind"] {
        assert_eq!(broker.get(name).unwrap().message.routing_key, "q", "{name}");
    }
}

#[test]
fn deaths_are_counted_for_each_queue_and_reason_and_the_last_comes_first() {
    // Measured with 3.10 and 4.0: the wait's record first after an odd number of deaths, counts by queue and reason.
    let mut broker = Broker::new();
    broker.classic("work", &dead_to("wait"));
    broker.classic("wait", &[&dead_to("work")[..], &[("x-message-ttl", Argument::from(2000))]].concat());
    broker.bind("amq.topic", "a", "work");
    broker.publish("amq.topic", "a", "", Properties::default()).unwrap();
    let begin = broker.now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for _ in 0..3 {
        let tag = broker.get("work").unwrap().tag;
        broker.reject(CHANNEL, tag);
        broker.pass(2000);
    }
    let delivery = broker.get("work").unwrap();
    let expired = begin + 2;
    assert_eq!(
        records(&delivery),
        [
            format!("count=3 exchange= queue=wait reason=expired routing-keys=wait time=@{expired}"),
            format!("count=3 exchange=amq.topic queue=work reason=rejected routing-keys=a time=@{begin}"),
        ]
    );
    assert_eq!(deaths(&delivery, "first"), ["rejected", "work", "amq.topic"].map(str::to_owned));
    assert_eq!(deaths(&delivery, "last"), ["expired", "wait", ""].map(str::to_owned));
    assert_eq!((delivery.message.exchange.as_str(), delivery.message.routing_key.as_str()), ("", "work"));
}

#[test]
fn a_missing_exchange_or_no_way_loses_it_and_an_alternate_exchange_saves_it() {
    let mut broker = Broker::new();
    broker.classic("saved", &[]);
    broker.exchange("other", ExchangeKind::Fanout, &[]);
    broker.bind("other", "", "saved");
    broker.exchange("dlx", ExchangeKind::Direct, &[]);
    broker.exchange("safe", ExchangeKind::Direct, &[("alternate-exchange", Argument::from("other"))]);
    for (number, exchange) in ["no", "dlx", "safe"].into_iter().enumerate() {
        broker.quorum(exchange, &[("x-dead-letter-exchange", Argument::from(exchange))]);
        broker.send(exchange, exchange);
        let tag = broker.get(exchange).unwrap().tag;
        broker.reject(CHANNEL, tag);
        assert_eq!(broker.lost(), (number as u64 + 1).min(2));
    }
    assert_eq!(broker.drain("saved"), ["safe"]);
}
