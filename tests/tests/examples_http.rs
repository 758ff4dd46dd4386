//! The example services as processes, over HTTP, from end to end.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use rabbitry_tests::{Node, TestBroker, binary, eventually, within};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

// --- The processes ----------------------------------------------------------------------------------------------------

/// A fresh folder for databases.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    // There is none on the first run.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A command that runs an example in a folder, on free ports.
async fn example(name: &str, broker: &str, folder: &Path) -> Command {
    let mut command = Command::new(binary(name).await);
    command
        .current_dir(folder)
        .env_remove("ORDERS_DB")
        .env_remove("INVENTORY_DB")
        .env("AMQP_URL", broker)
        .env("ORDERS_ADDR", "127.0.0.1:0")
        .env("INVENTORY_ADDR", "127.0.0.1:0")
        .env("RUST_LOG", "info")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// An example that serves.
struct Process {
    child: Child,
    orders: String,
    inventory: String,
}

impl Process {
    /// Starts one, and waits until each of these services listens.
    async fn start(name: &str, services: &[&str], broker: &str, folder: &Path) -> Self {
        let mut child = example(name, broker, folder).await.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut process = Self { child, orders: String::new(), inventory: String::new() };
        for _ in services {
            let (service, url) = within(format!("{name} listens"), listening(&mut lines)).await;
            match service.as_str() {
                "orders" => process.orders = url,
                _ => process.inventory = url,
            }
        }
        // Whatever it says later must not fill the pipe.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if line.contains("ERROR") {
                    println!("{line}");
                }
            }
        });
        process
    }

    async fn shop(broker: &str, folder: &Path) -> Self {
        Self::start("shop", &["orders", "inventory"], broker, folder).await
    }

    /// Kills it with -9.
    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Ends it with SIGTERM, and checks that it ends well.
    async fn stop(mut self) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        let status = within("the process ends", self.child.wait()).await.unwrap();
        assert!(status.success(), "it ended with {status}");
    }

    async fn order(&self, order: &Value) -> (u16, Value) {
        post(format!("{}/orders/", self.orders), order).await
    }

    async fn product(&self, product: &Value) -> (u16, Value) {
        post(format!("{}/products/", self.inventory), product).await
    }

    /// The status of an order, when it is no longer pending.
    async fn outcome(&self, order: usize) -> Value {
        outcome(&self.orders, order).await
    }

    async fn stock(&self, product: usize) -> i64 {
        let (status, product) = get(format!("{}/products/{product}", self.inventory)).await;
        assert_eq!(status, 200);
        product["stock"].as_i64().unwrap()
    }
}

/// The next service that listens, and its URL.
async fn listening(lines: &mut Lines<BufReader<ChildStdout>>) -> (String, String) {
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((before, address)) = line.split_once(" listens on http://") {
            let service = before.rsplit(' ').next().unwrap_or_default();
            return (service.to_owned(), format!("http://{address}"));
        }
    }
    panic!("the process ended before it listened");
}

// --- HTTP -------------------------------------------------------------------------------------------------------------

type Answer = (u16, Value);

/// Sends a request and reads the answer, which is JSON whatever its status.
async fn send(method: &'static str, url: String, content_type: Option<&'static str>, body: String) -> Answer {
    static AGENT: OnceLock<ureq::Agent> = OnceLock::new();
    let agent = AGENT.get_or_init(|| {
        ureq::Agent::config_builder().http_status_as_error(false).max_idle_connections(0).build().into()
    });
    let what = format!("{method} {url}");
    let request = tokio::task::spawn_blocking(move || {
        let mut request = ureq::http::Request::builder().method(method).uri(&url);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let mut response = agent.run(request.body(body).unwrap()).unwrap();
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().unwrap();
        (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON but {text:?}")))
    });
    within(what, request).await.unwrap()
}

async fn post(url: String, body: &Value) -> Answer {
    send("POST", url, Some("application/json"), body.to_string()).await
}

async fn get(url: String) -> Answer {
    send("GET", url, None, String::new()).await
}

async fn outcome(orders: &str, order: usize) -> Value {
    let url = format!("{orders}/orders/{order}");
    within(format!("order {order} is decided"), async {
        let mut look = tokio::time::interval(Duration::from_millis(10));
        loop {
            look.tick().await;
            let (status, order) = get(url.clone()).await;
            assert_eq!(status, 200, "{order}");
            if order["status"] != "pending" {
                return order;
            }
        }
    })
    .await
}

fn order(id: usize, items: &[(usize, i64)]) -> Value {
    let items: Vec<_> = items.iter().map(|(id, quantity)| json!({ "product_id": id, "quantity": quantity })).collect();
    json!({ "id": id, "customer_id": 3, "total": 9.5, "items": items })
}

fn product(id: usize, stock: i64) -> Value {
    json!({ "id": id, "name": format!("product {id}"), "stock": stock })
}

fn confirmed(id: usize) -> Value {
    json!({ "order_id": id, "status": "confirmed" })
}

/// Waits until no queue holds anything, but these. The broker tells its counts some seconds late.
async fn all_is_handled(broker: &TestBroker, but: &[&str]) {
    eventually("all is handled, and nothing dead", async || {
        let queues = broker.list("list_queues", &["name", "messages"]).await;
        queues.iter().all(|queue| queue[1] == "0" || but.contains(&queue[0].as_str()))
    })
    .await;
}

// --- The tests --------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_confirmed_or_rejected() {
    let (broker, folder) = (TestBroker::new().await, folder("orders_are_confirmed_or_rejected"));
    let shop = Process::shop(&broker.url(), &folder).await;
    assert_eq!(shop.product(&product(7, 10)).await, (201, json!({ "product_id": 7 })));
    assert_eq!(shop.order(&order(1, &[(7, 4)])).await, (201, json!({ "order_id": 1 })));
    assert_eq!(shop.outcome(1).await, confirmed(1));
    assert_eq!(shop.order(&order(2, &[(7, 7)])).await.0, 201);
    let reason = "product 7: 7 wanted, 6 in stock";
    assert_eq!(shop.outcome(2).await, json!({ "order_id": 2, "status": "rejected", "reason": reason }));
    // The article's body has no items.
    assert_eq!(shop.order(&json!({ "id": 3, "customer_id": 3, "total": 9.5 })).await.0, 201);
    assert_eq!(shop.outcome(3).await, confirmed(3));

    // Sent again they are the same order and product, or refused.
    assert_eq!(shop.order(&order(1, &[(7, 4)])).await.0, 201);
    assert_eq!(shop.order(&order(1, &[(7, 5)])).await, (409, json!({ "error": "there is another order 1" })));
    assert_eq!(shop.product(&product(7, 10)).await.0, 201);
    assert_eq!(shop.product(&product(7, 99)).await, (409, json!({ "error": "there is another product 7" })));
    // Behind the repeated order, so that it is done when this is.
    shop.order(&order(4, &[(7, 1)])).await;
    assert_eq!(shop.outcome(4).await, confirmed(4));
    assert_eq!(shop.stock(7).await, 5);

    // All of it is there after a restart.
    shop.stop().await;
    let shop = Process::shop(&broker.url(), &folder).await;
    assert_eq!(shop.outcome(1).await, confirmed(1));
    assert_eq!(shop.outcome(2).await["status"], "rejected");
    assert_eq!(shop.stock(7).await, 5);
    all_is_handled(&broker, &[]).await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_with_a_reason() {
    let (broker, folder) = (TestBroker::new().await, folder("bad_input_is_refused"));
    let shop = Process::shop(&broker.url(), &folder).await;
    let json = Some("application/json");
    let item = |item: &str| format!(r#"{{"id": 1, "customer_id": 1, "total": 1, "items": [{item}]}}"#);
    let cases: &[(&str, Option<&'static str>, String, u16)] = &[
        ("/orders/", json, String::new(), 400),
        ("/orders/", json, "{".to_owned(), 400),
        ("/orders/", json, "[]".to_owned(), 422),
        ("/orders/", json, "null".to_owned(), 422),
        ("/orders/", json, r#"{"id": 1}"#.to_owned(), 422),
        ("/orders/", json, r#"{"id": "1", "customer_id": 1, "total": 1}"#.to_owned(), 422),
        ("/orders/", json, r#"{"id": 1.5, "customer_id": 1, "total": 1}"#.to_owned(), 422),
        ("/orders/", json, r#"{"id": 0, "customer_id": 1, "total": 1}"#.to_owned(), 422),
        ("/orders/", json, r#"{"id": -1, "customer_id": 1, "total": 1}"#.to_owned(), 422),
        ("/orders/", json, r#"{"id": 9223372036854775808, "customer_id": 1, "total": 1}"#.to_owned(), 422),
        ("/orders/", json, r#"{"id": 1, "customer_id": 0, "total": 1}"#.to_owned(), 422),
        ("/orders/", json, r#"{"id": 1, "customer_id": 1, "total": -0.01}"#.to_owned(), 422),
        ("/orders/", json, r#"{"id": 1, "customer_id": 1, "total": "1"}"#.to_owned(), 422),
        ("/orders/", json, r#"{"id": 1, "customer_id": 1, "total": 1e999}"#.to_owned(), 400),
        ("/orders/", json, r#"{"id": 1, "customer_id": 1, "total": 1, "items": null}"#.to_owned(), 422),
        ("/orders/", json, item(r#"{"product_id": 7}"#), 422),
        ("/orders/", json, item(r#"{"product_id": 0, "quantity": 1}"#), 422),
        ("/orders/", json, item(r#"{"product_id": 7, "quantity": 0}"#), 422),
        ("/orders/", json, item(r#"{"product_id": 7, "quantity": -1}"#), 422),
        ("/orders/", json, item(r#"{"product_id": 7, "quantity": 4294967296}"#), 422),
        ("/orders/", json, item(r#"{"product_id": 7, "quantity": 1}, {"product_id": 7, "quantity": 1}"#), 422),
        ("/orders/", Some("text/plain"), order(1, &[]).to_string(), 415),
        ("/orders/", None, order(1, &[]).to_string(), 415),
        ("/orders/", json, " ".repeat(2 << 20), 400),
        // One byte more than may be. With more of them, the server might close while it is still being sent to.
        ("/orders/", json, " ".repeat((2 << 20) + 1), 413),
        ("/orders", json, order(1, &[]).to_string(), 404),
        ("/", json, order(1, &[]).to_string(), 404),
        ("/orders/1", json, order(1, &[]).to_string(), 405),
        ("/products/", json, "{".to_owned(), 400),
        ("/products/", json, r#"{"id": 1, "name": "carrot"}"#.to_owned(), 422),
        ("/products/", json, r#"{"id": 0, "name": "carrot", "stock": 1}"#.to_owned(), 422),
        ("/products/", json, r#"{"id": 1, "name": " ", "stock": 1}"#.to_owned(), 422),
        ("/products/", json, r#"{"id": 1, "name": "carrot", "stock": -1}"#.to_owned(), 422),
        ("/products/1", json, product(1, 1).to_string(), 405),
    ];
    for (path, content_type, body, expected) in cases {
        let server = if path.starts_with("/products") { &shop.inventory } else { &shop.orders };
        let (status, answer) = send("POST", format!("{server}{path}"), *content_type, body.clone()).await;
        let case = format!("POST {path} {}: {answer}", &body[..body.len().min(100)]);
        assert_eq!(status, *expected, "{case}");
        assert!(answer["error"].as_str().is_some_and(|reason| !reason.is_empty()), "{case}");
    }
    for (path, expected) in
        [("/orders/", 405), ("/orders/1", 404), ("/orders/one", 400), ("/orders/9223372036854775808", 400)]
    {
        let (status, answer) = get(format!("{}{path}", shop.orders)).await;
        assert_eq!(status, expected, "GET {path}: {answer}");
        assert!(answer["error"].is_string(), "GET {path}: {answer}");
    }
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_an_order_stays_pending() {
    let node = Node::private("examples", &[]).await;
    let broker = TestBroker::on(&node).await;
    let shop = Process::shop(&broker.url(), &folder("without_a_broker")).await;
    let client = broker.client().await;
    client.declare_queue("copies", "events", "order_created").await;
    drop(client);

    node.stop().await;
    let begun = Instant::now();
    let (status, answer) = shop.order(&order(1, &[])).await;
    assert_eq!(status, 503, "{answer}");
    assert!(answer["error"].is_string(), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(10), "the customer waited {:?}", begun.elapsed());
    let pending = json!({ "order_id": 1, "status": "pending" });
    assert_eq!(get(format!("{}/orders/1", shop.orders)).await, (200, pending));

    node.restart().await;
    eventually("the broker takes the order", async || shop.order(&order(1, &[])).await.0 == 201).await;
    assert_eq!(shop.outcome(1).await, confirmed(1));
    assert_eq!(shop.order(&order(1, &[])).await.0, 201);
    let copies = broker.client().await.receive("copies", 2).await;
    let ids: BTreeSet<_> = copies.iter().map(rabbitry_tests::Raw::id).collect();
    assert_eq!(ids.len(), 1, "an order has one event, however often it is sent: {ids:?}");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_told_with_its_cure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = folder("a_port_that_is_taken");
    for (name, variable) in [("orders", "ORDERS_ADDR"), ("inventory", "INVENTORY_ADDR"), ("shop", "ORDERS_ADDR")] {
        // It does not get so far as to need a broker.
        let mut command = example(name, "amqp://127.0.0.1:1/%2f", &folder).await;
        let mut child = command.env(variable, &address).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let reading = child.stderr.as_mut().unwrap().read_to_string(&mut said);
        within(format!("{name} ends"), reading).await.unwrap();
        assert!(!child.wait().await.unwrap().success());
        assert!(said.contains(variable) && said.contains(&address), "{name} said {said}");
    }
}

/// Products 1 to 5 are there for everybody, products 6 to 10 are not.
const PRODUCTS: usize = 10;
const ORDERS: usize = 1000;

fn first_stock(product: usize) -> i64 {
    if product <= PRODUCTS / 2 { 10_000 } else { 100 }
}

/// One or two products, one to four of each.
fn items(order: usize) -> Vec<(usize, i64)> {
    let quantity = |number: usize| 1 + i64::try_from(number % 4).unwrap();
    let first = (1 + order % PRODUCTS, quantity(order));
    let second = (1 + order / PRODUCTS % PRODUCTS, quantity(order / 7));
    if first.0 == second.0 { vec![first] } else { vec![first, second] }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_survive_the_death_of_inventory() {
    let (broker, folder) = (TestBroker::new().await, folder("death_of_inventory"));
    let url = broker.url();
    let start = async || Process::start("inventory", &["inventory"], &url, &folder).await;
    let orders = Process::start("orders", &["orders"], &url, &folder).await;
    let inventory = start().await;
    let client = broker.client().await;
    client.declare_queue("updates", "events", "stock_updated").await;
    for id in 1..=PRODUCTS {
        assert_eq!(inventory.product(&product(id, first_stock(id))).await.0, 201);
    }
    inventory.stop().await;

    // They wait for inventory, which dies among them again and again.
    let numbers = Arc::new(std::sync::Mutex::new(1..=ORDERS));
    let customers: Vec<_> = (0..16)
        .map(|_| {
            let (numbers, url) = (Arc::clone(&numbers), format!("{}/orders/", orders.orders));
            tokio::spawn(async move {
                loop {
                    let Some(id) = numbers.lock().unwrap().next() else { break };
                    assert_eq!(post(url.clone(), &order(id, &items(id))).await.0, 201);
                }
            })
        })
        .collect();
    for customer in customers {
        within("all orders are placed", customer).await.unwrap();
    }
    for decided in [50, 300, 600] {
        let inventory = start().await;
        orders.outcome(decided).await;
        inventory.kill().await;
        let (_, last) = get(format!("{}/orders/{ORDERS}", orders.orders)).await;
        assert_eq!(last["status"], "pending", "it was killed too late to show anything");
    }
    let inventory = start().await;

    let (mut taken, mut updates, mut rejected) = ([0; PRODUCTS + 1], 0, Vec::new());
    for id in 1..=ORDERS {
        let order = orders.outcome(id).await;
        match order["status"].as_str() {
            Some("confirmed") => {
                for (product, quantity) in items(id) {
                    taken[product] += quantity;
                    updates += 1;
                }
            }
            Some("rejected") => rejected.push(id),
            _ => panic!("{order}"),
        }
    }
    let mut left = [0; PRODUCTS + 1];
    for id in 1..=PRODUCTS {
        left[id] = inventory.stock(id).await;
        assert_eq!(left[id], first_stock(id) - taken[id], "of product {id}");
    }
    assert!(!rejected.is_empty(), "there is not enough for everybody");
    for id in rejected {
        // Stock only falls, so what was missing then is missing still.
        let missing = items(id).iter().any(|&(product, quantity)| left[product] < quantity);
        assert!(missing, "order {id} was rejected although there was {left:?}: {:?}", items(id));
    }
    // What was said twice by a process that was killed in between has one id.
    all_is_handled(&broker, &["updates"]).await;
    let said = client.count("updates").await.unwrap();
    let said = client.receive("updates", usize::try_from(said).unwrap()).await;
    let ids: BTreeSet<_> = said.iter().map(rabbitry_tests::Raw::id).collect();
    assert_eq!(ids.len(), updates);
    inventory.stop().await;
    orders.stop().await;
}
