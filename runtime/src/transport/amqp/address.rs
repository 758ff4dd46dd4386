//! Where a broker is and who we are to it, from a URL. A broker may be one node or several of a cluster.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::future::BoxFuture;
use lapin::uri::{AMQPScheme, AMQPUri};

use crate::{
    time::Clock,
    transport::{Connection, Login, Transport, TransportError},
};

/// How often each side proves that it lives, in seconds, unless the URL says otherwise.
const HEARTBEAT: u16 = 10;

/// A broker's address with credentials. Shown without the password.
pub(in crate::transport) struct Address {
    /// One at least, which differ in host and port.
    nodes: Vec<AMQPUri>,
    /// The node that is tried first next time. It begins anywhere, so that services that start together spread out.
    next: AtomicUsize,
}

/// A URL that cannot be a broker's. Its text never holds the URL, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the broker's URL is not usable: {reason}; it looks like amqp://user:password@host:5672/%2f, or like amqp://user:password@host1:5672,host2:5672/%2f for the nodes of a cluster"
)]
pub struct InvalidUrl {
    /// What is wrong with it.
    pub reason: String,
}

fn invalid(reason: impl Into<String>) -> InvalidUrl {
    InvalidUrl { reason: reason.into() }
}

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    /// It is no `amqp://` or `amqps://` URL, names a node twice or none between two commas, or asks for TLS where the
    /// feature `tls` is off.
    pub(in crate::transport) fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(invalid("it has no scheme"));
        };
        if scheme != "amqp" && scheme != "amqps" {
            return Err(invalid("its scheme is neither amqp nor amqps"));
        }
        if scheme == "amqps" && !cfg!(feature = "tls") {
            // lapin without TLS would speak clear text to an amqps:// URL and say nothing.
            return Err(invalid("it begins with amqps://, but rabbitry was built without its feature `tls`"));
        }
        if rest.contains("amqp://") || rest.contains("amqps://") {
            return Err(invalid("it is several URLs; name the hosts of a cluster in one, with commas between them"));
        }
        // The part of the hosts and credentials, without path and query.
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let path = rest.strip_prefix(authority).unwrap_or_default();
        if path.contains('@') {
            // A parser would take part of a password for the path, and show it.
            return Err(invalid("a `/`, `?` or `#` in its user or password is not escaped: %2f, %3f, %23"));
        }
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => (format!("{credentials}@"), hosts),
            None => (String::new(), authority),
        };
        let node = |host| node(host, &format!("{scheme}://{credentials}{host}{path}"));
        let nodes = hosts.split(',').map(node).collect::<Result<Vec<_>, _>>()?;
        let mut seen = BTreeSet::new();
        if let Some(twice) = nodes.iter().map(name).find(|name| !seen.insert(name.to_ascii_lowercase())) {
            return Err(invalid(format!("it names {twice} twice")));
        }
        let next = AtomicUsize::new(fastrand::usize(..nodes.len()));
        Ok(Self { nodes, next })
    }

    /// All nodes, beginning with another one each time.
    fn in_turn(&self) -> impl Iterator<Item = &AMQPUri> {
        let first = self.next.fetch_add(1, Ordering::Relaxed) % self.nodes.len().max(1);
        self.nodes.iter().cycle().skip(first).take(self.nodes.len())
    }

    /// Who we are to the broker: the same on each node.
    pub(in crate::transport) fn login(&self) -> Login {
        let login = |node: &AMQPUri| {
            let user = &node.authority.userinfo;
            Login { user: user.username.clone(), password: user.password.clone(), vhost: node.vhost.clone() }
        };
        self.nodes.first().map(login).unwrap_or_default()
    }
}

/// Reads the URL of one host.
fn node(host: &str, url: &str) -> Result<AMQPUri, InvalidUrl> {
    // lapin takes an IPv6 address for localhost.
    if host.starts_with('[') {
        return Err(invalid("a host is an IPv6 address; use a host name"));
    }
    if host.is_empty() || host.starts_with(':') {
        return Err(invalid("it has no host, or none between two commas"));
    }
    if host.contains([';', '|', ' ', '\t', '\n']) {
        return Err(invalid("the hosts of a cluster have commas between them, and nothing else"));
    }
    // The parser's own text may repeat the URL.
    let mut uri: AMQPUri =
        url.parse().map_err(|_| invalid("it cannot be parsed; escape special characters, `/` in a password is %2f"))?;
    let short = |text: &str| text.len() <= 255;
    if !short(&uri.vhost) || !short(&uri.authority.userinfo.username) {
        return Err(invalid("its virtual host or user is longer than 255 bytes"));
    }
    uri.query.heartbeat.get_or_insert(HEARTBEAT);
    Ok(uri)
}

/// A node as logs and errors name it.
pub(super) fn name(node: &AMQPUri) -> String {
    format!("{}:{}", node.authority.host, node.authority.port)
}

impl Transport for Address {
    fn address(&self) -> String {
        self.to_string()
    }

    fn connect<'a>(
        &'a self,
        name: &'a str,
        clock: &'a Arc<dyn Clock>,
    ) -> BoxFuture<'a, Result<Arc<dyn Connection>, TransportError>> {
        Box::pin(async move {
            let mut failures = Vec::new();
            for node in self.in_turn() {
                match super::Connection::connect(node, name, clock).await {
                    Ok(connection) => {
                        // When none answers, whoever asked for the connection says so.
                        for Failure { node, error } in failures {
                            tracing::warn!(connection = name, node, %error, "cannot connect to this node of the cluster");
                        }
                        if self.nodes.len() > 1 {
                            let node = self::name(node);
                            tracing::info!(connection = name, node, "connected to this node of the cluster");
                        }
                        return Ok(Arc::new(connection) as Arc<dyn Connection>);
                    }
                    Err(error) => failures.push(Failure { node: self::name(node), error }),
                }
            }
            Err(none_of(failures))
        })
    }
}

/// Why a node could not be connected to.
struct Failure {
    node: String,
    error: TransportError,
}

/// What it means that no node could be connected to. Users and virtual hosts are the cluster's and not a node's, so what one
/// refuses for good the others would refuse, too, if they could be reached.
fn none_of(mut failures: Vec<Failure>) -> TransportError {
    if let [_] = failures.as_slice()
        && let Some(only) = failures.pop()
    {
        return only.error;
    }
    let refused = failures.iter().find_map(|Failure { node, error }| match error {
        TransportError::Refused { code, text } => {
            Some(TransportError::Refused { code: *code, text: format!("{text} (said {node})") })
        }
        _ => None,
    });
    refused.unwrap_or_else(|| {
        let all: Vec<String> = failures.iter().map(|Failure { node, error }| format!("{node}: {error}")).collect();
        TransportError::lost(format!("no node of the cluster can be connected to; {}", all.join("; ")))
    })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // All nodes have the rest in common.
        let Some(first) = self.nodes.first() else { return Ok(()) };
        let scheme = match first.scheme {
            AMQPScheme::AMQP => "amqp",
            AMQPScheme::AMQPS => "amqps",
        };
        let hosts: Vec<String> = self.nodes.iter().map(name).collect();
        let vhost = if first.vhost == "/" { "%2f" } else { &first.vhost };
        write!(f, "{scheme}://{}:***@{}/{vhost}", first.authority.userinfo.username, hosts.join(","))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::ACCESS_REFUSED;

    #[test]
    fn a_password_is_never_shown() {
        let address = Address::parse("amqp://shop:s3cret@broker.example:5673/orders").unwrap();
        assert_eq!(address.to_string(), "amqp://shop:***@broker.example:5673/orders");
        assert_eq!(format!("{address:?}"), address.to_string());
        for bad in [
            "s3cret",
            "http://shop:s3cret@h/",
            "amqp://shop:s3cret@h:s3cret/",
            "amqp://shop:s3cret@:5672/",
            "amqp://shop:s3cret@[::1]/",
            "amqp://shop:8/s3cret@h:5672/orders",
            "amqp://shop:s3cret@a,a/",
            "amqp://shop:s3cret@a,amqp://shop:s3cret@b/",
        ] {
            let error = Address::parse(bad).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn a_url_names_the_nodes_of_a_cluster() {
        let address = Address::parse("amqp://shop:a,s3cret@a:5673,b,c.example:5674/orders?heartbeat=3").unwrap();
        assert_eq!(address.to_string(), "amqp://shop:***@a:5673,b:5672,c.example:5674/orders");
        for node in &address.nodes {
            assert_eq!((node.vhost.as_str(), node.query.heartbeat), ("orders", Some(3)));
            let user = &node.authority.userinfo;
            assert_eq!((user.username.as_str(), user.password.as_str()), ("shop", "a,s3cret"));
        }
        let one = Address::parse("amqp://a,b").unwrap();
        assert_eq!(one.to_string(), "amqp://guest:***@a:5672,b:5672/%2f");
    }

    #[test]
    fn rubbish_instead_of_nodes_is_refused() {
        #[track_caller]
        fn check(url: &str, reason: &str) {
            let error = Address::parse(url).unwrap_err();
            assert!(error.reason.contains(reason), "{url}: {error}");
        }
        check("amqp://a,,b/%2f", "no host");
        check("amqp://a,b,/%2f", "no host");
        check("amqp://,/%2f", "no host");
        check("amqp://guest:guest@a,:5672", "no host");
        check("amqp://a:5672,b:5673,A:5672", "names A:5672 twice");
        check("amqp://a,a:5672", "names a:5672 twice");
        check("amqp://a:1,b:port", "cannot be parsed");
        check("amqp://a b", "have commas");
        check("amqp://a, b", "have commas");
        check("amqp://a;b:1", "have commas");
        check("amqp://a:1;b:1", "have commas");
        check("amqp://a,[::1]", "IPv6");
        check("amqp://a:1,amqp://b:1", "several URLs");
        check("amqp://u:p@a:1/%2f amqp://u:p@b:1/%2f", "several URLs");
        check("amqp://u:p@a;amqps://u:p@b", "several URLs");
    }

    #[test]
    fn nodes_take_turns() {
        let address = Address::parse("amqp://a,b,c").unwrap();
        let turn = || address.in_turn().map(|node| node.authority.host.clone()).collect::<String>();
        let turns = [turn(), turn(), turn(), turn()];
        assert_eq!(turns[0], turns[3]);
        let mut distinct = turns[..3].to_vec();
        distinct.sort();
        assert_eq!(distinct, ["abc", "bca", "cab"]);
        // The count may wrap.
        address.next.store(usize::MAX, Ordering::Relaxed);
        assert_eq!([turn().len(), turn().len()], [3, 3]);
    }

    #[test]
    fn what_one_node_refuses_is_refused() {
        let lost = |node: &str| Failure { node: node.to_owned(), error: TransportError::lost("no route") };
        let refused = |node: &str| {
            let error = TransportError::Refused { code: ACCESS_REFUSED, text: "wrong password".to_owned() };
            Failure { node: node.to_owned(), error }
        };
        assert_eq!(none_of(vec![lost("a:1")]).to_string(), "no route");
        assert_eq!(
            none_of(vec![lost("a:1"), lost("b:1")]).to_string(),
            "no node of the cluster can be connected to; a:1: no route; b:1: no route"
        );
        let said = none_of(vec![lost("a:1"), refused("b:1"), lost("c:1")]);
        assert_eq!(said.to_string(), "RabbitMQ refused it: 403 wrong password (said b:1)");
    }

    #[test]
    fn the_heartbeat_is_ten_seconds_unless_the_url_says_otherwise() {
        let heartbeat = |url: &str| Address::parse(url).unwrap().nodes[0].query.heartbeat;
        assert_eq!(heartbeat("amqp://localhost"), Some(10));
        assert_eq!(heartbeat("amqp://localhost/%2f?heartbeat=3"), Some(3));
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn amqps_is_refused_without_the_feature() {
        let error = Address::parse("amqps://localhost").unwrap_err();
        assert!(error.to_string().contains("feature `tls`"), "{error}");
    }
}
