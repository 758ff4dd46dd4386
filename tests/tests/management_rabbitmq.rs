//! The management API where it says no, is not there, or is something else; and the services that ask it when they start.

use rabbitry::{AnyEvent, BuildError, CompareError, Difference, Service, StartError, TopologyMode};
use rabbitry_tests::{TestBroker, stop, within};

fn stock() -> Service {
    Service::new("stock").publishes::<AnyEvent>().subscribe("order", |_: AnyEvent| async {})
}

/// Why a comparison by a management URL fails, which must not tell a password.
async fn fails(broker: &TestBroker, url: impl Into<String>) -> String {
    let url = url.into();
    let error = within("comparing", stock().broker(broker.url()).management_url(&url).compare()).await;
    let error = error.expect_err("there is nothing to compare with");
    assert!(matches!(error, CompareError::Management { .. }), "{error:?}");
    let shown = format!("{error} {error:?}");
    for password in [":guest@", "s3cret"] {
        assert!(!shown.contains(password), "{shown}");
    }
    shown
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_management_api_that_says_no() {
    let broker = TestBroker::new().await;
    let host = broker.node().management().trim_start_matches("http://").to_owned();
    says(
        &fails(&broker, format!("http://guest:s3cret@{host}")).await,
        &["user `guest`", "name or password is wrong", &host],
    );
    let user = format!("{}-user", broker.vhost());
    broker.add_user(&user, ".*", ".*", ".*").await;
    let url = format!("http://{user}:{user}@{host}");
    says(&fails(&broker, &url).await, &["may not use it", "set_user_tags"]);
    // Allowed in, but not into the virtual host.
    broker.tag_user(&user, "management").await;
    let elsewhere = TestBroker::on(broker.node()).await;
    says(&fails(&elsewhere, &url).await, &["sees nothing of the virtual host", elsewhere.vhost(), "set_permissions"]);
    broker.remove_user(&user).await;
    // A virtual host that is not there.
    let service = stock().broker(broker.url().replace("test-", "no-")).management_url(broker.node().management());
    let error = within("comparing", service.compare()).await.expect_err("there is no such virtual host");
    says(&error.to_string(), &["there is no virtual host `no-", "correct the broker's URL"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_management_api() {
    let broker = TestBroker::new().await;
    let host = broker.node().management().trim_start_matches("http://").to_owned();
    // The plugin is off, or the port wrong.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    says(&fails(&broker, format!("http://{nobody}")).await, &["nothing listens there", "rabbitmq-plugins enable"]);
    // AMQP's port.
    let amqp = broker.url();
    let amqp = amqp.split(['@', '/']).nth(3).unwrap();
    says(&fails(&broker, format!("http://{amqp}")).await, &["does not speak HTTP", "AMQP's port"]);
    says(&fails(&broker, "http://no-such-host.invalid:15672").await, &["host is not known"]);
    says(
        &fails(&broker, format!("{}/elsewhere", broker.node().management())).await,
        &["not RabbitMQ's management API"],
    );
    says(&fails(&broker, format!("https://{host}")).await, &["cannot"]);

    let answers = [
        ("404 Not Found", "<html>", "404"),
        ("301 Moved Permanently", "", "go elsewhere"),
        ("503 Service Unavailable", "", "answered 503"),
        ("200 OK", "<html>hello</html>", "cannot be read"),
        ("200 OK", "[1, 2]", "cannot be read"),
        ("400 Bad Request", r#"{"error":"bad_request","reason":"of this kind"}"#, "of this kind"),
    ];
    for (status, body, said) in answers {
        let url = answering(format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nlocation: http://127.0.0.1:1/\r\n\r\n{body}",
            body.len()
        ));
        says(&fails(&broker, url).await, &[said]);
    }
    // An answer without an end.
    let endless = answering(format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(17 * 1024 * 1024)));
    says(&fails(&broker, endless).await, &["more than 16 MiB"]);
    // Somebody who says nothing.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", mute.local_addr().unwrap());
    says(&fails(&broker, url).await, &["no answer within 10 s"]);
}

/// The address of somebody who answers this to one request.
fn answering(answer: String) -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut some = [0; 1024];
        while !request.ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut some).unwrap();
            request.extend_from_slice(&some[..read]);
        }
        // One who has had enough hangs up.
        let _ = stream.write_all(answer.as_bytes());
    });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_is_none_is_said_when_the_service_is_built() {
    let error = |service: Service| service.build().expect_err("it cannot be built");
    for (url, said) in [
        ("", "is no URL"),
        ("rabbit:s3cret", "neither http nor https"),
        ("amqp://guest:s3cret@rabbit", "neither http nor https"),
        ("http://", "is no URL"),
        ("http://guest:s3cret@rabbit:15672/?x", "where none belongs"),
    ] {
        let error = error(stock().broker("amqp://guest:s3cret@rabbit").management_url(url));
        assert!(matches!(error, BuildError::Setting { setting: "management_url", .. }), "{error:?}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        says(&shown, &["management_url", said]);
    }
    // A broker whose virtual host nobody can know.
    let elsewhere = stock().broker(rabbitry::Broker::memory()).management_url("http://rabbit:15672");
    says(&error(elsewhere).to_string(), &["not given by a URL"]);
    let shown = format!("{:?}", stock().management_url("http://guest:s3cret@rabbit:15672"));
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_cannot_be_asked() {
    let broker = TestBroker::new().await;
    let compare = |url: String| async move { within("comparing", stock().broker(url).compare()).await.unwrap_err() };
    let error = compare(broker.url().replace("test-", "no-")).await;
    assert!(matches!(error, CompareError::Refused { code: 530, .. }), "{error:?}");
    says(&error.to_string(), &["service `stock`", "virtual host"]);
    let error = compare(broker.url_of("nobody")).await;
    assert!(matches!(error, CompareError::Refused { code: 403, .. }), "{error:?}");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = compare(format!("amqp://guest:s3cret@{nobody}")).await;
    assert!(matches!(error, CompareError::Lost { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("s3cret"));
    let error = within("comparing", Service::new("stock").broker(broker.url()).compare()).await.unwrap_err();
    assert!(matches!(error, CompareError::Build(BuildError::Nothing { .. })), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_verifies_starts_only_on_its_plan() {
    let broker = TestBroker::new().await;
    let management = broker.node().management().to_owned();
    let verifying = |url: String| stock().broker(broker.url()).topology_mode(TopologyMode::Verify).management_url(url);
    let start = |url: String| within("starting", verifying(url).start());
    // Nothing is there: all of it is said, not only the first.
    let error = start(management.clone()).await.expect_err("nothing is there");
    let StartError::Differs { comparison, .. } = &error else { panic!("{error:?}") };
    assert!(comparison.differences.iter().all(|it| matches!(it, Difference::Missing { .. })));
    says(
        &error.to_string(),
        &["service `stock` cannot start", "exchange `events` is missing", "queue `stock.order` is missing"],
    );
    assert!(!format!("{error} {error:?}").contains(":guest@"));

    within("declaring", stock().broker(broker.url()).declare()).await.unwrap();
    let client = broker.client().await;
    client.unbind("stock.order", "events", "order").await;
    let error = start(management.clone()).await.expect_err("a binding is missing");
    says(&error.to_string(), &["binding of queue `stock.order` to exchange `events` by `order` is missing"]);
    client.bind("stock.order", "events", "order").await;

    // What is stale breaks nothing.
    client.bind("stock.order", "events", "order_created").await;
    client.declare_queue("stock.old", "events", "order").await;
    stop(start(management.clone()).await.expect("it starts")).await;
    // A management API that is not there keeps nobody from starting, one that says no does.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    stop(start(format!("http://{nobody}")).await.expect("it starts")).await;
    let host = management.trim_start_matches("http://");
    let error = start(format!("http://guest:s3cret@{host}")).await.expect_err("the password is wrong");
    assert!(matches!(error, StartError::Management { .. }), "{error:?}");
    says(&error.to_string(), &["name or password is wrong"]);
    assert_eq!(broker.connections().await, [""; 0]);

    // One that declares is not kept by it, either, nor one that assumes.
    client.unbind("stock.order", "events", "order").await;
    for mode in [TopologyMode::Assume, TopologyMode::Declare] {
        stop(within("starting", verifying(management.clone()).topology_mode(mode).start()).await.expect("it starts"))
            .await;
    }
    client.close().await;
}
