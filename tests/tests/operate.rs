//! The command line of the examples' binaries, as an operator uses it.

use std::{
    path::Path,
    process::{Output, Stdio},
};

use rabbitry::{AnyEvent, QueueType, Service, Subscription};
use rabbitry_tests::{Plan, Stranger, TestBroker, binary, ids, stop, within};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command};

/// What a command printed, and what it ended with.
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("no JSON ({error}): {}{}", self.out, self.err))
    }

    #[track_caller]
    fn with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self
    }
}

/// Runs an example in a folder where it could keep its files, with nobody at the terminal.
async fn call(name: &str, url: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let mut command = Command::new(binary(name).await);
    command.args(arguments);
    end(command, url, variables, "").await
}

/// The same at a terminal, where somebody types an answer.
async fn call_at_terminal(
    name: &str,
    url: &str,
    variables: &[(&str, &str)],
    arguments: &[&str],
    answer: &str,
) -> Ended {
    let mut command = Command::new("script");
    let line = format!("{} {}", binary(name).await.display(), arguments.join(" "));
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    end(command, url, variables, answer).await
}

async fn end(mut command: Command, url: &str, variables: &[(&str, &str)], typed: &str) -> Ended {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("operate");
    std::fs::create_dir_all(&folder).unwrap();
    command
        .current_dir(&folder)
        .env_remove("RABBITRY_MANAGEMENT_URL")
        .env("AMQP_URL", url)
        // Whatever is begun without being asked for fails by this.
        .env("ORDERS_DB", "/missing/orders.db")
        .env("INVENTORY_DB", "/missing/inventory.db")
        .env("RUST_LOG", "trace")
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut process = command.spawn().unwrap();
    process.stdin.take().unwrap().write_all(typed.as_bytes()).await.unwrap();
    let Output { status, stdout, stderr } = within("the end of the command", process.wait_with_output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

const NOWHERE: &str = "amqp://me:secret@127.0.0.1:1/nowhere";

#[tokio::test]
async fn the_plan_is_shown_without_a_broker() {
    for (name, service) in [("orders", orders::service()), ("inventory", inventory::service())] {
        let plan = service.topology().unwrap();
        let shown = call(name, NOWHERE, &[], &["topology", "show"]).await.with(0);
        assert_eq!(shown.out, plan.to_string());
        let json = call(name, NOWHERE, &[], &["topology", "show", "--json"]).await.with(0).json();
        assert_eq!(json, serde_json::to_value(&plan).unwrap());
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_command_line_is_told() {
    for arguments in [&["topolgy"][..], &["topology"], &["topology", "shew"], &["topology", "prune", "queue"]] {
        let refused = call("orders", NOWHERE, &[], arguments).await.with(2);
        assert!(refused.out.is_empty() && refused.err.contains("Usage: orders"), "{}", refused.err);
    }
    let help = call("orders", NOWHERE, &[], &["--help"]).await.with(0);
    assert!(help.out.starts_with("The service `orders`."), "{}", help.out);
    assert!(help.out.contains("Exit codes"), "{}", help.out);
    // It names variables, and not what is in them.
    let secret = [("RABBITRY_MANAGEMENT_URL", "http://me:secret@rabbit:15672")];
    let help = call("orders", NOWHERE, &secret, &["topology", "diff", "--help"]).await.with(0);
    assert!(help.out.contains("RABBITRY_MANAGEMENT_URL") && !help.out.contains("secret"), "{}", help.out);
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_told_of() {
    for command in [&["declare"][..], &["diff"], &["migrate"], &["migrate", "orders.settle_order"]] {
        let failed = call("orders", NOWHERE, &[], &[&["topology"], command].concat()).await.with(2);
        assert!(failed.out.is_empty() && failed.err.starts_with("error: "), "{}{}", failed.out, failed.err);
        assert!(failed.err.contains("127.0.0.1:1") && !failed.err.contains("secret"), "{}", failed.err);
    }
    // What runs the service fails by what it needs.
    for command in [&[][..], &["run"]] {
        let failed = call("orders", NOWHERE, &[], command).await.with(1);
        assert!(failed.err.contains("orders cannot use the database"), "{}", failed.err);
    }
}

#[tokio::test]
async fn what_is_declared_does_not_differ() {
    let broker = TestBroker::new().await;
    let management = [("RABBITRY_MANAGEMENT_URL", broker.node().management())];
    let differs = call("orders", &broker.url(), &[], &["topology", "diff"]).await.with(1);
    assert!(differs.out.contains("queue `orders.settle_order` is missing"), "{}", differs.out);
    let json = call("orders", &broker.url(), &management, &["topology", "diff", "--json"]).await.with(1).json();
    assert_eq!(json["differences"][0]["difference"], "missing");
    assert!(json["differences"][0]["cure"].is_string(), "{json}");

    let plan = orders::service().topology().unwrap();
    let declared = call("orders", &broker.url(), &[], &["topology", "declare"]).await.with(0);
    assert!(declared.out.contains("All that orders needs is on RabbitMQ at "), "{}", declared.out);
    assert_eq!(Plan::on(&broker).await, Plan::of(&plan));
    let json = call("orders", &broker.url(), &[], &["topology", "declare", "--json"]).await.with(0).json();
    assert_eq!(json["queues"], plan.queues.len());

    let equal = call("orders", &broker.url(), &[], &["topology", "diff"]).await.with(0);
    assert!(equal.out.starts_with("no differences\nnot checked: bindings"), "{}", equal.out);
    let equal = call("orders", &broker.url(), &management, &["topology", "diff", "--json"]).await.with(0).json();
    assert_eq!(equal["differences"], serde_json::json!([]));
    // The option wins over the variable.
    let wrong = ["topology", "diff", "--management-url", "http://me:secret@127.0.0.1:1"];
    let failed = call("orders", &broker.url(), &management, &wrong).await.with(2);
    assert!(failed.err.contains("management API at http://me:***@127.0.0.1:1"), "{}", failed.err);
    assert!(!failed.err.contains("secret"), "{}", failed.err);
}

/// A service as it was before its release that is on the machine now.
fn before(kind: QueueType) -> Service {
    let quiet = |_: AnyEvent| async {};
    Service::new("inventory")
        .publishes::<AnyEvent>()
        .subscription(Subscription::to("order_created").name("reserve_stock").queue_type(kind).handler(quiet))
}

#[tokio::test]
async fn a_queue_is_migrated_by_its_service() {
    let broker = TestBroker::new().await;
    within("declaring", before(QueueType::Classic).broker(broker.url()).declare()).await.unwrap();
    let stranger = Stranger::on(&broker.url().into()).await;
    for id in ids("order", 5) {
        stranger.publish_bare("events", "order_created", &id, &serde_json::json!({})).await;
    }
    let refused = call("inventory", &broker.url(), &[], &["topology", "declare"]).await.with(2);
    assert!(refused.err.contains("`topology migrate inventory.reserve_stock`"), "{}", refused.err);

    let migrate = ["topology", "migrate", "--all-stopped", "--quiet", "100ms"];
    let unasked = call("inventory", &broker.url(), &[], &migrate).await.with(2);
    assert!(unasked.out.contains("inventory.reserve_stock: differs: "), "{}", unasked.out);
    assert!(unasked.err.contains("add --yes"), "{}", unasked.err);
    let unproven = call("inventory", &broker.url(), &[], &["topology", "migrate", "--yes"]).await.with(2);
    assert!(unproven.err.contains("--all-stopped"), "{}", unproven.err);
    assert_eq!(stranger.count("inventory.reserve_stock").await, 5, "nothing was changed");

    let running = broker.start(before(QueueType::Classic)).await;
    let in_use = call("inventory", &broker.url(), &[], &[&migrate[..], &["--yes"]].concat()).await.with(2);
    assert!(in_use.err.contains("stop every instance"), "{}", in_use.err);
    stop(running).await;
    for id in ids("order", 5) {
        stranger.publish_bare("events", "order_created", &id, &serde_json::json!({})).await;
    }

    let done = call("inventory", &broker.url(), &[], &[&migrate[..], &["--yes"]].concat()).await.with(0);
    assert!(done.out.contains("moved 5 messages; queue inventory.reserve_stock is empty"), "{}", done.out);
    assert!(done.out.ends_with("queue inventory.reserve_stock is as planned\nDone. The service can be started.\n"));
    assert_eq!(stranger.count("inventory.reserve_stock").await, 5);
    let json = [&migrate[..], &["inventory.reserve_stock", "--json"]].concat();
    let json = call("inventory", &broker.url(), &[], &json).await.with(0).json();
    assert_eq!(json, serde_json::json!([{ "queue": "inventory.reserve_stock", "found": "as_planned" }]));
    let unknown = call("inventory", &broker.url(), &[], &["topology", "migrate", "nobody"]).await.with(2);
    assert!(unknown.err.contains("these are: `inventory.reserve_stock`"), "{}", unknown.err);
    call("inventory", &broker.url(), &[], &["topology", "declare"]).await.with(0);
}

#[tokio::test]
async fn a_migration_tells_a_program_what_it_did() {
    let broker = TestBroker::new().await;
    within("declaring", before(QueueType::Classic).broker(broker.url()).declare()).await.unwrap();
    let migrate = ["topology", "--json", "migrate", "--all-stopped", "--quiet", "100ms", "--yes"];
    let json = call("inventory", &broker.url(), &[], &migrate).await.with(0).json();
    assert_eq!(json[0]["migrated"], serde_json::json!({ "set_aside": 0, "brought_back": 0 }));
    assert_eq!(json[0]["found"], "differs");
}

#[tokio::test]
async fn what_removed_handlers_left_is_pruned() {
    let broker = TestBroker::new().await;
    let management = [("RABBITRY_MANAGEMENT_URL", broker.node().management())];
    // The release before had one handler more, and one that listened to more.
    let quiet = |_: AnyEvent| async {};
    let before = Service::new("orders")
        .subscription(Subscription::to("order_created").name("removed").handler(quiet))
        .subscription(Subscription::to("stock_reserved").and("renamed").name("settle_order").handler(quiet));
    within("declaring", before.broker(broker.url()).declare()).await.unwrap();
    call("orders", &broker.url(), &[], &["topology", "declare"]).await.with(0);
    let stranger = Stranger::on(&broker.url().into()).await;
    stranger.publish_bare("events", "order_created", "1", &serde_json::json!({})).await;

    let unable = call("orders", &broker.url(), &[], &["topology", "prune", "--yes"]).await.with(2);
    assert!(unable.err.contains("--management-url"), "{}", unable.err);
    let before = Plan::on(&broker).await;
    let unasked = call("orders", &broker.url(), &management, &["topology", "prune"]).await.with(2);
    assert!(unasked.out.contains("stale: events → queue orders.settle_order by `renamed`"), "{}", unasked.out);
    assert!(unasked.out.contains("stale: events → queue orders.removed by `order_created`"), "{}", unasked.out);
    assert!(unasked.out.contains("kept: rabbitry.v1.delay.out → queue orders.removed by "), "{}", unasked.out);
    assert!(unasked.err.contains("Remove these 2 bindings? There is nobody to ask here: add --yes"), "{}", unasked.err);
    assert_eq!(Plan::on(&broker).await, before, "nothing was removed");

    let json =
        call("orders", &broker.url(), &management, &["topology", "prune", "--yes", "--json"]).await.with(0).json();
    assert_eq!(json["removed"].as_array().unwrap().len(), 2, "{json}");
    let mut expected = before;
    expected.bindings.remove("events queue orders.removed order_created");
    expected.bindings.remove("events queue orders.settle_order renamed");
    let after = Plan::on(&broker).await;
    assert_eq!(after, expected, "only those are removed");
    assert_eq!(stranger.count("orders.removed").await, 1, "what is in the queue stays");
    let again = call("orders", &broker.url(), &management, &["topology", "prune", "--yes"]).await.with(0);
    assert!(again.out.ends_with("No binding is to be removed.\n"), "{}", again.out);
    let retries = call_at_terminal("orders", &broker.url(), &management, &["topology", "prune", "--retries"], "y\n")
        .await
        .with(0);
    assert!(retries.out.contains("Removed: 1"), "{}", retries.out);
}
