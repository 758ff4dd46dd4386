//! The README's commands, run as they stand there but for the ports.

use std::{net::TcpListener, path::Path, process::Stdio};

use rabbitry_tests::{TestBroker, cargo, eventually, forget_the_test, within};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

const README: &str = include_str!("../../README.md");

/// The commands of the README's shell blocks, a list for each block.
fn commands() -> Vec<Vec<&'static str>> {
    let blocks = README.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(|block| block.lines().collect()).collect()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn the_commands_are_those_that_are_tested() {
    let commands = commands();
    assert_eq!(commands[0], ["cargo run -p shop -- --demo"]);
    assert_eq!(commands[1], ["cargo run -p shop"]);
    assert_eq!(commands[2].len(), 6);
    assert_eq!(commands[3], ["./scripts/test.sh"]);
    assert_eq!(commands[4], ["cargo run -p orders -- topology declare", "cargo run -p orders -- topology diff"]);
    assert_eq!(commands.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pasted_order_is_confirmed_and_another_rejected() {
    let broker = TestBroker::new().await;
    let (orders, inventory) = (free_port(), free_port());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
    // There is none on the first run.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let mut shop = shop(commands()[1][0], &broker)
        .await
        .env("ORDERS_ADDR", format!("127.0.0.1:{orders}"))
        .env("INVENTORY_ADDR", format!("127.0.0.1:{inventory}"))
        .env("ORDERS_DB", folder.join("orders.db"))
        .env("INVENTORY_DB", folder.join("inventory.db"))
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(shop.stdout.take().unwrap()).lines();
    // What it prints to paste is what the README has, line for line.
    let printed = within("the shop opens", async {
        let mut printed = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.trim_start().starts_with("curl ") {
                printed.push(line.trim().to_owned());
            }
            if printed.len() == 6 {
                break;
            }
        }
        printed
    })
    .await;
    let here = |line: &str| line.replace(":8001", &format!(":{orders}")).replace(":8002", &format!(":{inventory}"));
    let pasted: Vec<String> = commands()[2].iter().map(|line| here(line)).collect();
    assert_eq!(printed, pasted);
    // Its log must not fill the pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });

    for line in &pasted[..3] {
        let answer = run(line).await;
        assert!(answer["product_id"] == 7 || answer["order_id"].is_i64(), "{line}: {answer}");
    }
    for (line, status) in [(&pasted[3], "confirmed"), (&pasted[4], "rejected")] {
        eventually(format!("{line} shows {status}"), async || run(line).await["status"] == status).await;
    }
    assert_eq!(run(&pasted[5]).await["stock"], 6);

    let pid = shop.id().unwrap().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
    let ended = within("the shop closes", shop.wait()).await.unwrap();
    assert!(ended.success(), "{ended}");
}

/// What the README shows of the demo is what the demo prints: the tables to the letter, and lines of the log but for times and ids.
#[tokio::test(flavor = "multi_thread")]
async fn the_demo_prints_what_is_shown() {
    let broker = TestBroker::new().await;
    let running = shop(commands()[0][0], &broker).await.output();
    let output = within("the demo ends", running).await.unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}\n{printed}", output.status);
    let first = printed.lines().next().unwrap();
    assert!(first.starts_with("The broker is RabbitMQ at ") && first.ends_with(", as AMQP_URL says."), "{first}");
    let shown = README.split("```text\n…\n").nth(1).unwrap().split("```").next().unwrap();
    let (shown_log, shown_tables) = shown.split_once("\nStock\n").unwrap();
    let (printed_log, printed_tables) = printed.split_once("\nStock\n").unwrap();
    assert_eq!(shown_tables, printed_tables);
    let printed: Vec<_> = printed_log.lines().map(gist).collect();
    let runs = shown_log.lines().filter(|line| *line != "…");
    let missing: Vec<_> = runs.filter(|line| !printed.contains(&gist(line))).collect();
    assert!(missing.is_empty(), "the README shows {missing:#?}, and printed is:\n{printed_log}");
    assert!(shown_log.contains(" 1/4 ") && shown_log.contains(" 3/4 "), "it shows a retry");
}

/// A line of the log without the time, the id and the time taken; other lines as they are.
fn gist(line: &str) -> Vec<&str> {
    let words: Vec<_> = line.split_whitespace().collect();
    match words[..] {
        [_, event, key, _, ref rest @ .., _, "ms"] if line.contains(" → ") => [&[event, key], rest].concat(),
        _ => words,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_plan_differs_in_nothing() {
    let broker = TestBroker::new().await;
    for command in commands().remove(4) {
        let output = within(command, pasted("orders", command, &broker).await.output()).await.unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
    }
}

/// A command of the README that runs the shop on this broker.
async fn shop(command: &str, broker: &TestBroker) -> Command {
    pasted("shop", command, broker).await
}

/// A command of the README that runs this package on this broker.
async fn pasted(package: &'static str, command: &str, broker: &TestBroker) -> Command {
    // The first build may take its time.
    let build = move || cargo().args(["build", "-p", package]).status().unwrap();
    let built = tokio::task::spawn_blocking(build).await.unwrap();
    assert!(built.success(), "{built}");
    let mut bash = std::process::Command::new("bash");
    forget_the_test(&mut bash);
    let mut shop = Command::from(bash);
    shop.args(["-c", command])
        // The package's name asks for the project's folder.
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
        .env("AMQP_URL", broker.url())
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    shop
}

/// Runs a command as somebody who pastes it, and reads the JSON that it prints.
async fn run(line: &str) -> Value {
    let output = within(line, Command::new("bash").args(["-c", &format!("{line} -sS")]).output()).await.unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
