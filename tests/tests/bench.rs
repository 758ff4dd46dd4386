//! The benchmark runs: every contender does what it says, and nothing is left unacknowledged.

use std::fs;

use rabbitry_tests::{TestBroker, binary, within};
use serde_json::Value;
use tokio::process::Command;

#[tokio::test]
async fn every_contender_does_its_tasks() {
    let (broker, program) = (TestBroker::new().await, binary("rabbitry-bench").await);
    let file = std::env::temp_dir().join(format!("rabbitry-bench-{}.json", std::process::id()));
    let mut bench = Command::new(program);
    bench.args(["--only", "publish-100,publish-tasks,consume-256,consume-1ms,answer,latency,beside-100,memory"]);
    bench.args(["--rounds", "1", "--cold", "--events", "300", "--url", &broker.url()]).arg("--json").arg(&file);
    let output = within("the benchmark", bench.kill_on_drop(true).output()).await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let all: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    fs::remove_file(&file).unwrap();
    let who = |scenario: &str| -> Vec<String> {
        let scenarios = all["scenarios"].as_array().unwrap();
        let scenario = scenarios.iter().find(|one| one["scenario"] == scenario).unwrap();
        let contenders = scenario["contenders"].as_object().unwrap();
        assert!(contenders.values().all(|one| one["rounds"][0]["events"].as_u64() > Some(0)), "{scenario}");
        contenders.keys().cloned().collect()
    };
    assert_eq!(who("consume-256"), ["amqprs", "kanin", "lapin-readme", "lapin-tight", "rabbitry", "ruststream"]);
    assert_eq!(who("publish-tasks"), ["amqprs", "lapin-tight", "rabbitry"]);
    assert_eq!(who("answer"), ["lapin-readme", "lapin-tight", "rabbitry"]);
    assert_eq!(who("latency"), ["amqprs", "lapin-tight", "rabbitry"]);
    assert_eq!(who("beside-100"), ["rabbitry", "rabbitry-alone"]);
    assert_eq!(who("memory"), ["bare-channel", "rabbitry"]);
}

/// How throughput and memory grow, and what is drawn of it.
#[tokio::test]
async fn what_grows_is_measured_and_drawn() {
    let (broker, program) = (TestBroker::new().await, binary("rabbitry-bench").await);
    let folder = std::env::temp_dir().join(format!("rabbitry-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let [prefetch, scale] = ["prefetch.json", "scale.json"].map(|name| folder.join(name));
    let run = async |bench: &mut Command| {
        let output = within("the benchmark", bench.kill_on_drop(true).output()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let url = broker.url();
    let little = ["--rounds", "1", "--events", "600", "--url", &url, "--json"];
    let curve = ["--only", "prefetch-16,prefetch-64", "--contenders", "rabbitry,lapin-tight", "--cold"];
    run(Command::new(&program).args(curve).args(little).arg(&prefetch)).await;
    run(Command::new(&program).arg("scale").args(little).arg(&scale)).await;
    let mut plot = Command::new(&program);
    plot.arg("plot").arg("--prefetch").arg(&prefetch).arg("--scale").arg(&scale).arg("--into").arg(&folder);
    run(&mut plot).await;
    for (name, holds) in [("prefetch.svg", "lapin-tight"), ("scale.svg", "bodies of 10000 bytes")] {
        let drawn = fs::read_to_string(folder.join(name)).unwrap();
        assert!(drawn.starts_with("<svg ") && drawn.contains(holds), "{name}");
        // It stands in Markdown, where an empty line would end it.
        assert!(drawn.lines().all(|line| !line.trim().is_empty()), "{name}");
    }
    fs::remove_dir_all(&folder).unwrap();
}
