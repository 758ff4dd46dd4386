//! The chaos suite as a program, see `scripts/chaos`; the same program is the processes that it starts.

use std::process::ExitCode;

use rabbitry_tests::{
    Node, TestBroker,
    chaos::{self, Members, Options, Site, USAGE},
};

fn main() -> ExitCode {
    match chaos::role() {
        Some(ended) => ended,
        None => suite(),
    }
}

#[tokio::main]
async fn suite() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(wrong) => {
            eprintln!("{wrong}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let site = if options.cluster {
        Site::Cluster(Members::whole().await)
    } else {
        let node = Node::private(&format!("chaos-{}", std::process::id()), &[]).await;
        Site::Node(TestBroker::on(&node).await)
    };
    let program = std::env::current_exe().expect("this program has a path");
    let report = chaos::run(&program, &site, &options).await;
    println!("\n{report}");
    ExitCode::from(u8::from(!report.is_clean()))
}
