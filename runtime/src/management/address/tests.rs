use super::Address;
use crate::transport::Login;

fn parse(url: &str) -> Result<Address, String> {
    let login = Login { user: "shop".to_owned(), password: "s3cret".to_owned(), vhost: "a/b".to_owned() };
    Address::parse(url, &login)
}

fn authorization(user: &str, password: &str) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

#[test]
fn credentials_are_the_broker_s_unless_the_url_has_some() {
    let address = parse("http://rabbit:15672").unwrap();
    assert_eq!(address.authorization, authorization("shop", "s3cret"));
    let address = parse("http://reader:p%40ss%2Fword@rabbit:15672/").unwrap();
    assert_eq!(address.authorization, authorization("reader", "p@ss/word"));
    assert_eq!(parse("http://reader@rabbit").unwrap().authorization, authorization("reader", ""));
}

#[test]
fn a_password_is_never_shown() {
    for url in ["http://rabbit:15672", "http://shop:s3cret@rabbit:15672/"] {
        let address = parse(url).unwrap();
        assert_eq!(address.to_string(), "http://shop:***@rabbit:15672");
        assert_eq!(format!("{address:?}"), address.to_string());
        assert_eq!(address.of(&["queues", "x"], &[]), "http://rabbit:15672/api/queues/x");
    }
    for bad in [
        "s3cret",
        "",
        "amqp://shop:s3cret@rabbit:5672",
        "http://shop:s3cret@",
        "http://shop:s3cret@rabbit:s3cret/",
        "http://shop:s3#cret@rabbit:15672",
        "http://shop:s3?s3cret@rabbit:15672",
        "http://shop:%ffs3cret@rabbit:15672",
        "http://shop:8/s3cret@rabbit:15672",
        "file:///s3cret",
    ] {
        let error = parse(bad).unwrap_err();
        assert!(!error.contains("cret"), "{bad}: {error}");
    }
}

#[test]
fn what_is_asked_for_is_escaped() {
    let of = |base: &str| parse(base).unwrap().of(&["queues", "a/b", "ä #?%"], &[("name", "^a\\.&b")]);
    let rest = "/api/queues/a%2Fb/%C3%A4%20%23%3F%25?name=%5Ea%5C.%26b";
    for base in ["http://rabbit:15672", "http://rabbit:15672/", "http://rabbit:15672/api", "http://rabbit:15672/api/"] {
        assert_eq!(of(base), format!("http://rabbit:15672{rest}"));
    }
    assert_eq!(of("http://rabbit/at/work/"), format!("http://rabbit/at/work{rest}"));
    assert_eq!(of("http://[::1]:15672"), format!("http://[::1]:15672{rest}"));
}

#[cfg(feature = "tls")]
#[test]
fn https_is_taken_with_the_feature() {
    assert_eq!(parse("https://rabbit").unwrap().to_string(), "https://shop:***@rabbit");
}

#[cfg(not(feature = "tls"))]
#[test]
fn https_is_refused_without_the_feature() {
    assert!(parse("https://rabbit").unwrap_err().contains("feature `tls`"));
}
