//! The chaos suite in its short form: each kind of fault once, and nothing is lost. The long one is `scripts/chaos`.

use std::path::Path;

use rabbitry_tests::{
    Node, TestBroker,
    chaos::{self, Kind, Options, Site},
};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_whatever_breaks() {
    let node = Node::private("chaos", &[]).await;
    let site = Site::Node(TestBroker::on(&node).await);
    let options = Options { events: 5000, faults: Kind::ALL.len(), ..Options::default() };
    let report = chaos::run(Path::new(env!("CARGO_BIN_EXE_chaos")), &site, &options).await;
    println!("{report}");
    assert!(report.is_clean(), "{} lost; {} more wrongs", report.lost(), report.wrongs());
    assert!(Kind::ALL.iter().all(|kind| report.faults(*kind) == 1));
}
