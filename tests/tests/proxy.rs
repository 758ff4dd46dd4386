//! The proxy that breaks networks: what both sides see of it, alone and under a service.

use std::{io::ErrorKind, time::Duration};

use rabbitry::{AnyEvent, Lifecycle, Service};
use rabbitry_tests::{
    Books, Proxy, Record, TestBroker, Way, any, eventually, note, numbered, publish_numbers, stop, within,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A proxy, and both ends of one connection through it.
struct Ends {
    proxy: Proxy,
    listener: TcpListener,
    client: TcpStream,
    server: TcpStream,
}

impl Ends {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::to(&listener.local_addr().unwrap().to_string()).await;
        let (client, server) = connect(&proxy, &listener).await;
        Self { proxy, listener, client, server }
    }
}

async fn connect(proxy: &Proxy, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let connecting = TcpStream::connect(proxy.address());
    let (client, server) = within("a connection", async { tokio::join!(connecting, listener.accept()) }).await;
    let (client, server) = (client.unwrap(), server.unwrap().0);
    // Only with its first bytes is it known to be through.
    let mut ends = (client, server);
    talk(&mut ends.0, &mut ends.1).await;
    talk(&mut ends.1, &mut ends.0).await;
    ends
}

/// One says something, the other hears it.
async fn talk(from: &mut TcpStream, to: &mut TcpStream) {
    from.write_all(b"hello").await.unwrap();
    hears(to, b"hello").await;
}

async fn hears(stream: &mut TcpStream, words: &[u8]) {
    let mut heard = vec![0; words.len()];
    within("what was said", stream.read_exact(&mut heard)).await.unwrap();
    assert_eq!(heard, words);
}

/// Hears nothing, for a while: proves that nothing comes as far as that can be proved.
async fn hears_nothing(stream: &mut TcpStream) {
    let heard = tokio::time::timeout(Duration::from_millis(200), stream.read_u8()).await;
    assert!(heard.is_err(), "{heard:?}");
}

async fn is_reset(stream: &mut TcpStream) {
    let error = within("a reset", stream.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn what_is_said_arrives_and_so_does_the_end() {
    let mut ends = Ends::new().await;
    assert_eq!(ends.proxy.open(), 1);
    let long: Vec<u8> = (0..1_000_000u32).map(|number| number as u8).collect();
    let (mut from, expected) = (ends.client, long.clone());
    let writing = tokio::spawn(async move {
        from.write_all(&long).await.unwrap();
        from.shutdown().await.unwrap();
        from
    });
    let mut heard = Vec::new();
    within("all of it", ends.server.read_to_end(&mut heard)).await.unwrap();
    assert!(heard == expected);
    // Half of it has ended; the other half goes on.
    let mut client = within("the end of the writing", writing).await.unwrap();
    talk(&mut ends.server, &mut client).await;
    drop(ends.server);
    assert_eq!(within("the end", client.read(&mut [0; 8])).await.unwrap(), 0);
    eventually("the connection is over", || async { ends.proxy.open() == 0 }).await;
}

#[tokio::test]
async fn a_cut_resets_both_sides_and_whoever_comes_until_it_heals() {
    let mut ends = Ends::new().await;
    ends.proxy.cut();
    is_reset(&mut ends.client).await;
    is_reset(&mut ends.server).await;
    is_reset(&mut TcpStream::connect(ends.proxy.address()).await.unwrap()).await;
    assert_eq!(ends.proxy.open(), 0);
    ends.proxy.heal();
    let (mut client, mut server) = connect(&ends.proxy, &ends.listener).await;
    // A cut that heals at once is one all the same.
    ends.proxy.cut();
    ends.proxy.heal();
    is_reset(&mut client).await;
    is_reset(&mut server).await;
    connect(&ends.proxy, &ends.listener).await;
}

#[tokio::test]
async fn what_stalls_one_way_arrives_in_the_end() {
    for way in [Way::ToServer, Way::ToClient, Way::Both] {
        let mut ends = Ends::new().await;
        ends.proxy.stall(way);
        let (client, server) = (&mut ends.client, &mut ends.server);
        if way == Way::ToClient {
            talk(client, server).await;
        } else {
            client.write_all(b"late").await.unwrap();
            hears_nothing(server).await;
        }
        if way == Way::ToServer {
            talk(server, client).await;
        } else {
            server.write_all(b"late").await.unwrap();
            hears_nothing(client).await;
        }
        assert_eq!(ends.proxy.open(), 1);
        ends.proxy.heal();
        if way != Way::ToClient {
            hears(&mut ends.server, b"late").await;
        }
        if way != Way::ToServer {
            hears(&mut ends.client, b"late").await;
        }
        talk(&mut ends.client, &mut ends.server).await;
        talk(&mut ends.server, &mut ends.client).await;
    }
}

#[tokio::test]
async fn an_end_that_stalls_is_told_in_the_end() {
    let mut ends = Ends::new().await;
    ends.proxy.stall(Way::Both);
    drop(ends.client);
    hears_nothing(&mut ends.server).await;
    ends.proxy.heal();
    assert_eq!(within("the end", ends.server.read(&mut [0; 8])).await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_lost_never_comes_back_and_the_next_connection_does() {
    let mut ends = Ends::new().await;
    ends.proxy.lose();
    ends.client.write_all(b"to nobody").await.unwrap();
    ends.server.write_all(b"to nobody").await.unwrap();
    hears_nothing(&mut ends.client).await;
    eventually("it is lost", || async { ends.proxy.open() == 0 }).await;
    // It comes while there is no network: nothing answers it.
    let mut late = TcpStream::connect(ends.proxy.address()).await.unwrap();
    late.write_all(b"anybody").await.unwrap();
    let accepted = tokio::time::timeout(Duration::from_millis(200), ends.listener.accept()).await;
    assert!(accepted.is_err());
    ends.proxy.heal();
    let mut other = within("the late one", ends.listener.accept()).await.unwrap().0;
    hears(&mut other, b"anybody").await;
    talk(&mut other, &mut late).await;
    // The first is as lost as before, and neither side is told of the other's end.
    ends.client.write_all(b"to nobody").await.unwrap();
    drop(ends.client);
    hears_nothing(&mut ends.server).await;
    ends.server.write_all(b"to nobody").await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::to(&listener.local_addr().unwrap().to_string()).await;
    drop(listener);
    is_reset(&mut TcpStream::connect(proxy.address()).await.unwrap()).await;
}

#[tokio::test]
async fn a_proxy_that_is_gone_lets_go_of_all() {
    let mut ends = Ends::new().await;
    let address = ends.proxy.address();
    drop(ends.proxy);
    is_reset(&mut ends.client).await;
    is_reset(&mut ends.server).await;
    eventually("nobody listens", || async { TcpStream::connect(address).await.is_err() }).await;
}

/// A service behind a proxy loses nothing, whichever way the network fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_outlives_whatever_the_network_does() {
    let broker = TestBroker::new().await;
    let proxy = Proxy::to_url(&broker.url()).await;
    let seen = Record::default();
    let service = Service::new("echo").publishes::<AnyEvent>().subscribe("order", note(&seen));
    let url = format!("{}?heartbeat=2", proxy.url(&broker.url()));
    let running = within("starting", service.broker(url).start()).await.unwrap();
    assert_eq!(proxy.open(), 2);
    let publisher = any(&running);
    let faults: [fn(&Proxy); 5] = [
        Proxy::cut,
        Proxy::lose,
        |proxy| proxy.stall(Way::Both),
        |proxy| proxy.stall(Way::ToServer),
        |proxy| proxy.stall(Way::ToClient),
    ];
    for (round, break_it) in (1..).zip(faults) {
        publish_numbers(&publisher, "order", round * 100..round * 100 + 50).await;
        break_it(&proxy);
        let waiting = tokio::spawn({
            let publisher = publisher.clone();
            async move { publisher.publish_all((round * 100 + 50..round * 100 + 100).map(|n| numbered("order", n))).await }
        });
        // By the heartbeat at the latest.
        eventually("the loss is noticed", || async {
            running.health().publishing.state == Lifecycle::Recovering && !running.health().is_ready()
        })
        .await;
        proxy.heal();
        within("the events that waited", waiting).await.unwrap().unwrap();
        eventually("it is ready again", || async { running.health().is_ready() }).await;
        seen.wait_for_all(round * 100..round * 100 + 100).await;
    }
    // What was sent twice is handled twice.
    Books::settled(&broker, 0).await;
    stop(running).await;
    assert_eq!(Books::read(&broker).await, Books::default());
}
