//! Where a broker is and who we are to it, from a URL.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use lapin::uri::{AMQPScheme, AMQPUri};

use crate::{
    time::Clock,
    transport::{Connection, Login, Transport, TransportError},
};

/// How often each side proves that it lives, in seconds, unless the URL says otherwise.
const HEARTBEAT: u16 = 10;

/// A broker's address with credentials. Shown without the password.
#[derive(Clone)]
pub(in crate::transport) struct Address(AMQPUri);

/// A URL that cannot be a broker's. Its text never holds the URL, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the broker's URL is not usable: {reason}; it looks like amqp://user:password@host:5672/%2f")]
pub struct InvalidUrl {
    /// What is wrong with it.
    pub reason: String,
}

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    /// It is no `amqp://` or `amqps://` URL, or asks for TLS where the feature `tls` is off.
    pub(in crate::transport) fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let invalid = |reason: &str| InvalidUrl { reason: reason.to_owned() };
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
        // The part of the host, without credentials, path and query. lapin takes an IPv6 address for localhost.
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if rest.strip_prefix(authority).is_some_and(|rest| rest.contains('@')) {
            // A parser would take part of a password for the path, and show it.
            return Err(invalid("a `/`, `?` or `#` in its user or password is not escaped: %2f, %3f, %23"));
        }
        let host = authority.rsplit('@').next().unwrap_or_default();
        if host.starts_with('[') {
            return Err(invalid("its host is an IPv6 address; use a host name"));
        }
        if host.is_empty() || host.starts_with(':') {
            return Err(invalid("it has no host"));
        }
        // The parser's own text may repeat the URL.
        let mut uri: AMQPUri = url
            .parse()
            .map_err(|_| invalid("it cannot be parsed; escape special characters, `/` in a password is %2f"))?;
        let short = |text: &str| text.len() <= 255;
        if !short(&uri.vhost) || !short(&uri.authority.userinfo.username) {
            return Err(invalid("its virtual host or user is longer than 255 bytes"));
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        Ok(Self(uri))
    }

    /// Who we are to the broker.
    pub(in crate::transport) fn login(&self) -> Login {
        let (user, vhost) = (&self.0.authority.userinfo, self.0.vhost.clone());
        Login { user: user.username.clone(), password: user.password.clone(), vhost }
    }

    pub(super) fn uri(&self) -> AMQPUri {
        self.0.clone()
    }
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
            let connection = super::Connection::connect(self, name, clock).await?;
            Ok(Arc::new(connection) as Arc<dyn Connection>)
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.0.scheme {
            AMQPScheme::AMQP => "amqp",
            AMQPScheme::AMQPS => "amqps",
        };
        let authority = &self.0.authority;
        let vhost = if self.0.vhost == "/" { "%2f" } else { &self.0.vhost };
        write!(f, "{scheme}://{}:***@{}:{}/{vhost}", authority.userinfo.username, authority.host, authority.port)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

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
        ] {
            let error = Address::parse(bad).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn the_heartbeat_is_ten_seconds_unless_the_url_says_otherwise() {
        assert_eq!(Address::parse("amqp://localhost").unwrap().uri().query.heartbeat, Some(10));
        assert_eq!(Address::parse("amqp://localhost/%2f?heartbeat=3").unwrap().uri().query.heartbeat, Some(3));
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn amqps_is_refused_without_the_feature() {
        let error = Address::parse("amqps://localhost").unwrap_err();
        assert!(error.to_string().contains("feature `tls`"), "{error}");
    }
}
