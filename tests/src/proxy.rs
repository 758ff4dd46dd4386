//! A TCP proxy between services and a broker, that a test breaks as networks break.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// How many bytes one step of one direction passes on.
const STEP: usize = 16 * 1024;

/// The proxy. It ends with this value, and all its connections with it.
///
/// ```no_run
/// # async fn test(broker: &rabbitry_tests::TestBroker) {
/// use rabbitry_tests::{Proxy, Way};
///
/// let proxy = Proxy::to_url(&broker.url()).await;
/// let url = proxy.url(&broker.url()); // for the service
/// proxy.stall(Way::ToServer); // acknowledgements and events arrive no more
/// proxy.heal(); // now they do, in their order
/// # }
/// ```
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    network: watch::Sender<Network>,
    task: JoinHandle<()>,
}

/// Which direction of the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// What clients send.
    ToServer,
    /// What the server sends.
    ToClient,
    /// Both.
    Both,
}

/// How the network is.
#[derive(Clone, Copy, Debug, Default)]
struct Network {
    now: Now,
    /// How often it was cut. A connection that saw fewer when it began is reset.
    cuts: u64,
    /// How often its two sides lost each other. A connection that saw fewer when it began is never heard of again.
    losses: u64,
    /// How many connections pass bytes, or would.
    open: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Now {
    #[default]
    Well,
    Cut,
    Stalled(Way),
    Lost,
}

impl Network {
    fn passes(&self, way: Way) -> bool {
        match self.now {
            Now::Stalled(Way::Both) => false,
            Now::Stalled(stalled) => stalled != way,
            Now::Well | Now::Cut | Now::Lost => true,
        }
    }
}

impl Proxy {
    /// One to this server, `host:port`, on a free port of this machine.
    pub async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let network = watch::Sender::new(Network::default());
        let task = tokio::spawn(accept(listener, server.to_owned(), network.clone()));
        Self { address, network, task }
    }

    /// One to the server of an `amqp://` URL.
    pub async fn to_url(url: &str) -> Self {
        Self::to(host(url)).await
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL by way of the proxy: the same with another host and port.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        url.replacen(host(url), &self.address.to_string(), 1)
    }

    /// A URL by way of several proxies, which lead to the nodes of a cluster.
    #[must_use]
    pub fn url_by(proxies: &[Self], url: &str) -> String {
        let hosts: Vec<String> = proxies.iter().map(|proxy| proxy.address.to_string()).collect();
        url.replacen(host(url), &hosts.join(","), 1)
    }

    /// Resets all connections, on both sides, and every new one until it heals.
    pub fn cut(&self) {
        self.network.send_modify(|network| {
            network.now = Now::Cut;
            network.cuts += 1;
        });
    }

    /// Takes what is sent this way and passes nothing on until it heals; then all of it arrives.
    pub fn stall(&self, way: Way) {
        self.network.send_modify(|network| network.now = Now::Stalled(way));
    }

    /// Lets the two sides of all connections lose each other for good, without a word to either: what they send is taken
    /// and goes nowhere, healed or not. New connections wait until it heals, and are well then.
    pub fn lose(&self) {
        self.network.send_modify(|network| {
            network.now = Now::Lost;
            network.losses += 1;
        });
    }

    /// Ends what was last done to it.
    pub fn heal(&self) {
        self.network.send_modify(|network| network.now = Now::Well);
    }

    /// How many connections pass what is sent, or will when it heals.
    #[must_use]
    pub fn open(&self) -> usize {
        self.network.borrow().open
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

/// The host and the port of a URL.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

async fn accept(listener: TcpListener, server: String, network: watch::Sender<Network>) {
    let mut now = network.subscribe();
    loop {
        // Its client's side of the connection is there already, as far as the client knows: nobody answers it.
        if now.wait_for(|network| network.now != Now::Lost).await.is_err() {
            return;
        }
        let Ok((client, _)) = listener.accept().await else { continue };
        tokio::spawn(serve(client, server.clone(), network.clone()));
    }
}

/// One connection, from its first byte to its end.
async fn serve(client: TcpStream, server: String, network: watch::Sender<Network>) {
    let mut now = network.subscribe();
    // It may have been accepted in the moment in which the network went.
    let Ok(born) = now.wait_for(|network| network.now != Now::Lost).await.map(|network| *network) else { return };
    if born.now == Now::Cut {
        return reset(&client);
    }
    let Ok(server) = TcpStream::connect(&server).await else { return reset(&client) };
    let open = Open::new(network);
    let (mut client, mut server) = (client, server);
    // What is small goes at once, as it would without us.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let mut losses = now.clone();
    let cut = async { _ = now.wait_for(|network| network.cuts > born.cuts).await };
    let lost = async { _ = losses.wait_for(|network| network.losses > born.losses).await };
    tokio::pin!(cut);
    tokio::select! {
        biased;
        () = &mut cut => {}
        () = lost => {
            drop(open);
            tokio::select! {
                biased;
                () = &mut cut => {}
                // Each side that ends does so alone.
                _ = async { tokio::join!(swallow(&mut client), swallow(&mut server)) } => return,
            }
        }
        passed = pass(&mut client, &mut server, &open.0) => if passed.is_ok() { return },
    }
    reset(&client);
    reset(&server);
}

/// Passes bytes both ways until both sides have ended.
async fn pass(client: &mut TcpStream, server: &mut TcpStream, network: &watch::Sender<Network>) -> io::Result<()> {
    let ((client_says, to_client), (server_says, to_server)) = (client.split(), server.split());
    let there = pump(client_says, to_server, Way::ToServer, network.subscribe());
    let back = pump(server_says, to_client, Way::ToClient, network.subscribe());
    tokio::try_join!(there, back).map(drop)
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    way: Way,
    mut now: watch::Receiver<Network>,
) -> io::Result<()> {
    let mut bytes = vec![0; STEP];
    loop {
        let read = from.read(&mut bytes).await;
        // What is on its way while it stalls waits here, an end too; what comes behind it, where the kernel keeps it.
        if now.wait_for(|network| network.passes(way)).await.is_err() {
            return Ok(());
        }
        match read? {
            0 => return to.shutdown().await,
            count => to.write_all(&bytes[..count]).await?,
        }
    }
}

/// Takes what one side says until it ends.
async fn swallow(stream: &mut TcpStream) {
    let mut bytes = vec![0; STEP];
    while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
}

/// Has the connection end with a reset instead of a goodbye, once it is dropped.
fn reset(stream: &TcpStream) {
    // One that is gone already needs none.
    let _ = stream.set_zero_linger();
}

/// A connection that is counted.
struct Open(watch::Sender<Network>);

impl Open {
    fn new(network: watch::Sender<Network>) -> Self {
        network.send_modify(|network| network.open += 1);
        Self(network)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|network| network.open -= 1);
    }
}
