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
