//! What holds whatever happens, in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};

use super::*;

/// Something that is done to the broker.
#[derive(Clone, Debug)]
enum Step {
    Publish {
        queue: usize,
        expiration: Option<u16>,
    },
    Consume {
        channel: u64,
        queue: usize,
        prefetch: u16,
    },
    Cancel {
        which: usize,
    },
    Get {
        channel: u64,
        queue: usize,
    },
    /// Settles one of the messages that are out, or all up to it.
    Settle {
        which: usize,
        multiple: bool,
        how: How,
    },
    Close {
        channel: u64,
    },
    Disconnect {
        connection: u64,
    },
    Pass {
        milliseconds: u32,
    },
}

#[derive(Clone, Copy, Debug)]
enum How {
    Ack,
    Reject,
    Requeue,
}

const CHANNELS: u64 = 4;

fn step() -> impl Strategy<Value = Step> {
    let how = prop_oneof![3 => Just(How::Ack), 1 => Just(How::Reject), 2 => Just(How::Requeue)];
    let channel = 0..CHANNELS;
    let queue = 0..QUEUES.len();
    prop_oneof![
        8 => (queue.clone(), proptest::option::of(0..500u16))
            .prop_map(|(queue, expiration)| Step::Publish { queue, expiration }),
        3 => (channel.clone(), queue.clone(), 0..4u16)
            .prop_map(|(channel, queue, prefetch)| Step::Consume { channel, queue, prefetch }),
        1 => any::<usize>().prop_map(|which| Step::Cancel { which }),
        2 => (channel.clone(), queue).prop_map(|(channel, queue)| Step::Get { channel, queue }),
        8 => (any::<usize>(), any::<bool>(), how)
            .prop_map(|(which, multiple, how)| Step::Settle { which, multiple, how }),
        1 => channel.prop_map(|channel| Step::Close { channel }),
        1 => (0..2u64).prop_map(|connection| Step::Disconnect { connection }),
        3 => prop_oneof![0..300u32, 0..400_000u32].prop_map(|milliseconds| Step::Pass { milliseconds }),
    ]
}

const QUEUES: [&str; 6] = ["plain", "quorum", "short", "classic", "circle", "held"];

fn broker() -> Broker {
    let mut broker = Broker::new();
    broker.quorum("dead", &[("x-delivery-limit", Argument::from(-1))]);
    broker.classic("plain", &[]);
    broker.quorum("quorum", &[&dead_to("dead")[..], &[("x-delivery-limit", Argument::from(3))]].concat());
    broker.quorum("short", &[&dead_to("dead")[..], &[("x-max-length", Argument::from(3))]].concat());
    broker.classic(
        "classic",
        &[
            &dead_to("circle")[..],
            &[("x-message-ttl", Argument::from(200)), ("x-single-active-consumer", Argument::from(true))],
        ]
        .concat(),
    );
    broker.quorum("circle", &[&dead_to("classic")[..], &[("x-message-ttl", Argument::from(100))]].concat());
    let held = [
        ("x-dead-letter-strategy", Argument::from("at-least-once")),
        ("x-overflow", Argument::from("reject-publish")),
        ("x-max-length", Argument::from(4)),
        ("x-message-ttl", Argument::from(50)),
    ];
    broker.quorum("held", &[&dead_to("refusing")[..], &held].concat());
    let refusing = [("x-max-length", Argument::from(1)), ("x-overflow", Argument::from("reject-publish"))];
    broker.classic("refusing", &refusing);
    broker
}

/// What the clients know.
#[derive(Default)]
struct Clients {
    /// How many were published and stored.
    stored: u64,
    acknowledged: BTreeSet<String>,
    /// What channels have: channel and tag to body and consumer.
    out: BTreeMap<(u64, u64), (String, Option<u64>)>,
    /// Channel and prefetch of each consumer.
    consumers: BTreeMap<u64, (u64, u16)>,
    /// The last tag of each channel.
    tags: BTreeMap<u64, u64>,
    next_consumer: u64,
}

impl Clients {
    fn take(&mut self, channel: u64, delivery: &Delivery, consumer: Option<u64>) {
        let tag = self.tags.entry(channel).or_default();
        *tag += 1;
        assert_eq!(delivery.tag, *tag, "the tags of a channel are 1, 2, 3, …");
        let body = body(delivery);
        assert!(!self.acknowledged.contains(&body), "{body} comes again after it was acknowledged");
        assert!(self.out.values().all(|(out, _)| *out != body), "{body} is out twice");
        self.out.insert((channel, delivery.tag), (body, consumer));
    }

    fn look(&mut self, broker: &mut Broker) {
        for effect in broker.state.take_effects() {
            let Effect::Deliver { consumer, delivery } = effect else { panic!("{effect:?}") };
            let (channel, prefetch) = self.consumers[&consumer.0];
            self.take(channel, &delivery, Some(consumer.0));
            let has = self.out.values().filter(|(_, has)| *has == Some(consumer.0)).count();
            assert!(prefetch == 0 || has <= prefetch.into(), "{has} is more than {prefetch}");
        }
    }

    fn forget(&mut self, closed: impl Fn(u64) -> bool) {
        self.out.retain(|(channel, _), _| !closed(*channel));
        self.consumers.retain(|_, (channel, _)| !closed(*channel));
        self.tags.retain(|channel, _| !closed(*channel));
    }

    /// Published is what is in queues, out, acknowledged or lost.
    fn check(&self, broker: &Broker) {
        let (mut ready, mut unacked, mut moving) = (0, 0, 0);
        for (name, info) in broker.state.queues() {
            ready += info.ready;
            unacked += info.unacked;
            moving += broker.state.moving(name).unwrap();
        }
        assert_eq!(unacked, self.out.len());
        let known = ready + unacked + moving + self.acknowledged.len();
        assert_eq!(self.stored, known as u64 + broker.lost(), "{ready} ready, {unacked} out, {moving} moving");
        assert_eq!(broker.state.bytes() > 0, ready + unacked + moving > 0);
    }
}

fn run(steps: Vec<Step>) {
    let mut broker = broker();
    let mut clients = Clients::default();
    let connection = |channel: u64| ConnectionId(channel % 2);
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Publish { queue, expiration } => {
                let expiration = expiration.map(|expiration| expiration.to_string());
                let properties = Properties { expiration: expiration.map(Into::into), ..Properties::default() };
                let published = broker.publish("", QUEUES[queue], &number.to_string(), properties).unwrap();
                clients.stored += u64::from(matches!(published.confirmed, Confirmed::Ack));
            }
            Step::Consume { channel, queue, prefetch } => {
                clients.next_consumer += 1;
                let consumer = clients.next_consumer;
                clients.consumers.insert(consumer, (channel, prefetch));
                let (on, of) = (ChannelId(channel), connection(channel));
                broker.state.consume(on, of, QUEUES[queue], ConsumerId(consumer), prefetch, broker.now).unwrap();
            }
            Step::Cancel { which } => {
                let ids: Vec<_> = clients.consumers.keys().copied().collect();
                if let Some(id) = which.checked_rem(ids.len()).map(|which| ids[which]) {
                    broker.state.cancel(ConsumerId(id), broker.now);
                    clients.look(&mut broker);
                    clients.consumers.remove(&id);
                }
            }
            Step::Get { channel, queue } => {
                let result = broker.state.get(ChannelId(channel), connection(channel), QUEUES[queue], broker.now);
                let delivery = result.unwrap();
                clients.look_around(&mut broker, channel, delivery.as_ref());
            }
            Step::Settle { which, multiple, how } => {
                let out: Vec<_> = clients.out.keys().copied().collect();
                let Some((channel, tag)) = which.checked_rem(out.len()).map(|which| out[which]) else { continue };
                let settlement = match how {
                    How::Ack => Settlement::Ack { tag, multiple },
                    How::Reject => Settlement::Nack { tag, multiple, requeue: false },
                    How::Requeue => Settlement::Nack { tag, multiple, requeue: true },
                };
                clients.look(&mut broker);
                // Time has not passed since the last step, so nothing else is given out meanwhile.
                broker.state.settle(ChannelId(channel), settlement, broker.now).unwrap();
                let settled: Vec<_> = clients
                    .out
                    .extract(|&(other, at)| other == channel && (at == tag || multiple && at < tag))
                    .collect();
                if matches!(how, How::Ack) {
                    clients.acknowledged.extend(settled.into_iter().map(|(_, (body, _))| body));
                }
            }
            Step::Close { channel } => {
                clients.forget(|closed| closed == channel);
                broker.state.close_channel(ChannelId(channel), broker.now);
            }
            Step::Disconnect { connection: gone } => {
                clients.forget(|closed| connection(closed) == ConnectionId(gone));
                broker.state.close_connection(ConnectionId(gone), broker.now);
            }
            Step::Pass { milliseconds } => broker.pass(milliseconds.into()),
        }
        clients.look(&mut broker);
        clients.check(&broker);
        assert!(broker.state.next_due().is_none_or(|due| due > broker.now), "something that is due is left");
    }
    drain(&mut broker, &mut clients);
}

/// Takes all that is left, once.
fn drain(broker: &mut Broker, clients: &mut Clients) {
    clients.forget(|_| true);
    for connection in 0..2 {
        broker.state.close_connection(ConnectionId(connection), broker.now);
    }
    clients.check(broker);
    loop {
        let names: Vec<_> = broker.state.queues().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            while let Some(delivery) = broker.get(&name) {
                clients.take(CHANNEL.0, &delivery, None);
                broker.ack(CHANNEL, delivery.tag);
                clients.out.clear();
                assert!(clients.acknowledged.insert(body(&delivery)));
            }
        }
        clients.check(broker);
        match broker.state.next_due() {
            Some(due) => {
                broker.now = due;
                broker.state.advance(due);
            }
            // What expired behind what was taken may have gone to a queue that was empty by then.
            None if broker.state.queues().all(|(_, info)| info.ready == 0) => break,
            None => {}
        }
    }
    assert_eq!(clients.stored, clients.acknowledged.len() as u64 + broker.lost());
    assert_eq!(broker.state.bytes(), 0);
}

impl Clients {
    /// Takes what was asked for among what else was given out: the tags tell the order.
    fn look_around(&mut self, broker: &mut Broker, channel: u64, asked: Option<&Delivery>) {
        let mut asked = asked;
        for effect in broker.state.take_effects() {
            let Effect::Deliver { consumer, delivery } = effect else { panic!("{effect:?}") };
            let (of, _) = self.consumers[&consumer.0];
            if let Some(first) = asked.filter(|asked| of == channel && asked.tag < delivery.tag) {
                self.take(channel, first, None);
                asked = None;
            }
            self.take(of, &delivery, Some(consumer.0));
        }
        if let Some(last) = asked {
            self.take(channel, last, None);
        }
    }
}

/// Takes what matches out of a map.
trait Extract<K, V> {
    fn extract(&mut self, matches: impl Fn(&K) -> bool) -> std::vec::IntoIter<(K, V)>;
}

impl<K: Ord, V> Extract<K, V> for BTreeMap<K, V> {
    fn extract(&mut self, matches: impl Fn(&K) -> bool) -> std::vec::IntoIter<(K, V)> {
        let (taken, rest): (Vec<_>, Vec<_>) = std::mem::take(self).into_iter().partition(|(key, _)| matches(key));
        self.extend(rest);
        taken.into_iter()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn nothing_is_lost_or_doubled(steps in vec(step(), 1..120)) {
        run(steps);
    }
}
