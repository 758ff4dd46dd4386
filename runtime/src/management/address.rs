//! Where a management API is and who we are to it, from a URL.

use std::{borrow::Cow, fmt};

use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::transport::Login;

/// A management API's address with credentials. Shown without the password.
#[derive(Clone)]
pub(super) struct Address {
    /// Without credentials, query and the last slash.
    base: Url,
    pub(super) user: String,
    /// The value of the header `authorization`.
    pub(super) authorization: String,
    pub(super) vhost: String,
}

impl Address {
    /// Reads a URL; a broker's login gives the virtual host, and the credentials where the URL has none.
    ///
    /// # Errors
    /// What is wrong with it, as the rest of a sentence. It never holds the URL, which may hold a password.
    pub(super) fn parse(url: &str, login: &Login) -> Result<Self, String> {
        let looks = "it looks like http://user:password@host:15672";
        let mut base = Url::parse(url).map_err(|error| format!("is no URL ({error}); {looks}"))?;
        match base.scheme() {
            "http" => {}
            "https" if cfg!(feature = "tls") => {}
            "https" => return Err("begins with https://, but rabbitry was built without its feature `tls`".to_owned()),
            _ => return Err(format!("has a scheme that is neither http nor https; {looks}")),
        }
        // A parser takes part of a password for the path or what follows, and it would be shown.
        if base.path().contains('@') || base.query().is_some() || base.fragment().is_some() {
            return Err(format!(
                "has a `/`, `?` or `#` where none belongs: in a user or password it is %2f, %3f, %23; {looks}"
            ));
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(Cow::into_owned);
        let (user, password) = match (base.username(), base.password()) {
            ("", None) => (login.user.clone(), login.password.clone()),
            (user, password) => decoded(user)
                .and_then(|user| Ok((user, decoded(password.unwrap_or_default())?)))
                .map_err(|_| "has a user or password that is no UTF-8".to_owned())?,
        };
        // Only a URL without a host has no place for credentials, and http has none without.
        let _ = base.set_username("");
        let _ = base.set_password(None);
        // `/api` is said by many who give the address.
        let path = base.path().trim_end_matches('/');
        let path = path.strip_suffix("/api").unwrap_or(path).to_owned();
        base.set_path(&path);
        let authorization = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
        Ok(Self { base, user, authorization, vhost: login.vhost.clone() })
    }

    /// The URL of something below `/api/`. Each part is escaped.
    pub(super) fn of(&self, parts: &[&str], query: &[(&str, &str)]) -> String {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("api").extend(parts);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url.into()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = self.base.as_str().split_once("://").map_or("", |(_, rest)| rest).trim_end_matches('/');
        write!(f, "{}://{}:***@{rest}", self.base.scheme(), self.user)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
