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
    assert_eq!(commands[0], ["AMQP_URL=$(scripts/rabbitmq start shop) cargo run -p shop"]);
    assert_eq!(commands[1].len(), 6);
    assert_eq!(commands[2], ["./scripts/test.sh"]);
    assert_eq!(commands.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pasted_order_is_confirmed_and_another_rejected() {
    let broker = TestBroker::new().await;
    let (orders, inventory) = (free_port(), free_port());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
    // There is none on the first run.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    // The first build may take its time.
    let built = tokio::task::spawn_blocking(|| cargo().args(["build", "-p", "shop"]).status().unwrap()).await.unwrap();
    assert!(built.success(), "{built}");
    // A relative path to the script and the package's name ask for the project's folder.
    let mut bash = std::process::Command::new("bash");
    forget_the_test(&mut bash);
    let mut shop = Command::from(bash)
        .args(["-c", &commands()[0][0].replace("$(scripts/rabbitmq start shop)", &broker.url())])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
        .env("ORDERS_ADDR", format!("127.0.0.1:{orders}"))
        .env("INVENTORY_ADDR", format!("127.0.0.1:{inventory}"))
        .env("ORDERS_DB", folder.join("orders.db"))
        .env("INVENTORY_DB", folder.join("inventory.db"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
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
    let pasted: Vec<String> = commands()[1].iter().map(|line| here(line)).collect();
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

/// Runs a command as somebody who pastes it, and reads the JSON that it prints.
async fn run(line: &str) -> Value {
    let output = within(line, Command::new("bash").args(["-c", &format!("{line} -sS")]).output()).await.unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
