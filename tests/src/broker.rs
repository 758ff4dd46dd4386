//! Private RabbitMQ nodes, and a virtual host of its own for each test.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::process::Command;

use crate::{Client, within};

/// A RabbitMQ node of ours, that ends with this process at the latest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    name: String,
    url: String,
    management: String,
}

impl Node {
    /// The node that tests share who do it no harm: 3.10, or 4.0 with `RABBITMQ=4`.
    pub async fn shared() -> Self {
        Self::start(&format!("tests-{}", line()), &[]).await
    }

    /// A node for one test, that it may kill, freeze or configure with lines of `rabbitmq.conf`.
    pub async fn private(test: &str, settings: &[&str]) -> Self {
        Self::start(&format!("tests-{}-{}", line(), test.replace('_', "-")), settings).await
    }

    async fn start(name: &str, settings: &[&str]) -> Self {
        let process = std::process::id().to_string();
        let mut arguments = vec!["start", name, "--while", &process];
        for setting in settings {
            arguments.extend(["--set", setting]);
        }
        let url = script(&arguments).await.lines().last().unwrap_or_default().to_owned();
        assert!(url.starts_with("amqp://"), "scripts/rabbitmq start printed no URL but `{url}`");
        let management = script(&["management", name]).await;
        Self { name: name.to_owned(), url, management }
    }

    /// One that there is.
    pub(crate) async fn named(name: String) -> Self {
        let (url, management) = (script(&["url", &name]).await, script(&["management", &name]).await);
        Self { name, url, management }
    }

    /// Its name, as `scripts/rabbitmq` knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address that it listens on.
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority().split(':').next().unwrap_or_default()
    }

    /// Its address and port.
    fn authority(&self) -> &str {
        self.url.trim_start_matches("amqp://guest:guest@").trim_end_matches("/%2f")
    }

    /// Starts it again, with its data, after [`kill`](Self::kill) or [`stop`](Self::stop).
    pub async fn restart(&self) {
        script(&["start", &self.name]).await;
    }

    /// Kills it with -9.
    pub async fn kill(&self) {
        script(&["kill", &self.name]).await;
    }

    /// Stops it well.
    pub async fn stop(&self) {
        script(&["stop", &self.name]).await;
    }

    /// Stops all its processes from running, without ending them.
    pub async fn freeze(&self) {
        script(&["freeze", &self.name]).await;
    }

    /// Lets them run again.
    pub async fn thaw(&self) {
        script(&["thaw", &self.name]).await;
    }

    /// Where its management API is.
    #[must_use]
    pub fn management(&self) -> &str {
        &self.management
    }

    /// Runs `rabbitmqctl` with these arguments and returns what it prints.
    pub async fn ctl(&self, arguments: &[&str]) -> String {
        script(&[&["ctl", &self.name], arguments].concat()).await
    }

    /// What a program of RabbitMQ's prints, if it ends well with these arguments.
    pub(crate) async fn asked(&self, program: &str, arguments: &[&str]) -> Option<String> {
        let output = run(&[&["tool", &self.name, program], arguments].concat()).await;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Runs another program of RabbitMQ's with these arguments and returns what it prints.
    pub async fn tool(&self, program: &str, arguments: &[&str]) -> String {
        script(&[&["tool", &self.name, program], arguments].concat()).await
    }

    /// What it has written to its log so far.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn log(&self) -> String {
        let nodes = root().join("target/rabbitmq");
        let places = [nodes.join(&self.name), nodes.join("trixie/nodes").join(&self.name)];
        let read = places.iter().find_map(|place| std::fs::read(place.join("log/node.log")).ok());
        String::from_utf8_lossy(&read.expect("a node has a log")).into_owned()
    }
}

impl Node {
    /// The names of all queues of a virtual host.
    pub(crate) async fn queues(&self, vhost: &str) -> Vec<String> {
        let url = format!("{}/api/queues/{vhost}?columns=name", self.management);
        let listed = tokio::task::spawn_blocking(move || {
            let response = ureq::get(&url).header("authorization", GUEST).call();
            response.and_then(|mut response| response.body_mut().read_json::<Vec<serde_json::Value>>())
        });
        let queues =
            within("listing queues", listed).await.expect("the request is made").expect("the queues are listed");
        queues.iter().filter_map(|queue| queue["name"].as_str().map(str::to_owned)).collect()
    }
}

/// A virtual host of its own on a node, removed in the end.
#[derive(Debug)]
pub struct TestBroker {
    node: Node,
    vhost: String,
    /// The addresses and ports of all nodes that lead to it.
    hosts: String,
}

impl TestBroker {
    /// One on the shared node.
    pub async fn new() -> Self {
        crate::log();
        Self::on(&Node::shared().await).await
    }

    /// One on this node.
    pub async fn on(node: &Node) -> Self {
        let (vhost, hosts) = (format!("test-{}", uuid::Uuid::now_v7()), node.authority().to_owned());
        let broker = Self { node: node.clone(), vhost, hosts };
        let (vhost, permissions) = (broker.api("vhosts", ""), broker.api("permissions", "/guest"));
        within(
            "making a virtual host",
            blocking(move || {
                put(&vhost, "{}");
                put(&permissions, r#"{"configure":".*","write":".*","read":".*"}"#);
            }),
        )
        .await;
        broker
    }

    /// The same, reached by all of these nodes of its cluster.
    pub(crate) fn of(mut self, members: &[Node]) -> Self {
        self.hosts = members.iter().map(Node::authority).collect::<Vec<_>>().join(",");
        self
    }

    /// The node that it is on.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Its name.
    #[must_use]
    pub fn vhost(&self) -> &str {
        &self.vhost
    }

    /// Its URL, for services.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("guest")
    }

    /// The same for another user, whose password is the name.
    #[must_use]
    pub fn url_of(&self, user: &str) -> String {
        format!("amqp://{user}:{user}@{}/{}", self.hosts, self.vhost)
    }

    /// Its URL that leads to these nodes of its cluster alone.
    #[must_use]
    pub fn url_by(&self, nodes: &[&Node]) -> String {
        let hosts: Vec<&str> = nodes.iter().map(|node| node.authority()).collect();
        format!("amqp://guest:guest@{}/{}", hosts.join(","), self.vhost)
    }

    /// Makes a user with these permissions here, whose password is the name.
    pub async fn add_user(&self, name: &str, configure: &str, write: &str, read: &str) {
        let user = format!("{}/api/users/{name}", self.node.management);
        let permissions = self.api("permissions", &format!("/{name}"));
        let password = serde_json::json!({ "password": name, "tags": "" }).to_string();
        let rights = serde_json::json!({ "configure": configure, "write": write, "read": read }).to_string();
        within(
            "making a user",
            blocking(move || {
                put(&user, &password);
                put(&permissions, &rights);
            }),
        )
        .await;
    }

    /// Removes a user, who would outlive the virtual host.
    pub async fn remove_user(&self, name: &str) {
        self.node.ctl(&["-q", "delete_user", name]).await;
    }

    /// Gives a user a tag, `management` for one who may use the management API.
    pub async fn tag_user(&self, name: &str, tag: &str) {
        self.node.ctl(&["-q", "set_user_tags", name, tag]).await;
    }

    /// Sets a policy for the queues of this virtual host.
    pub async fn set_policy(&self, name: &str, pattern: &str, definition: &serde_json::Value) {
        self.set("set_policy", name, pattern, definition).await;
    }

    /// The same, as the operator.
    pub async fn set_operator_policy(&self, name: &str, pattern: &str, definition: &serde_json::Value) {
        self.set("set_operator_policy", name, pattern, definition).await;
    }

    async fn set(&self, command: &str, name: &str, pattern: &str, definition: &serde_json::Value) {
        let definition = definition.to_string();
        let arguments = ["-q", command, "-p", &self.vhost, "--apply-to", "queues", name, pattern, &definition];
        self.node.ctl(&arguments).await;
    }

    /// Takes a policy away.
    pub async fn clear_policy(&self, name: &str) {
        self.node.ctl(&["-q", "clear_policy", "-p", &self.vhost, name]).await;
    }

    /// A plain AMQP client.
    pub async fn client(&self) -> Client {
        Client::connect(&self.url_by(&[&self.node])).await
    }

    /// Closes every connection to this virtual host, as an operator does. Returns once they are told.
    pub async fn close_connections(&self) {
        self.node.ctl(&["close_all_connections", "--vhost", &self.vhost, "by the operator"]).await;
    }

    /// The names of the open connections, as services name theirs.
    pub async fn connections(&self) -> Vec<String> {
        let printed =
            self.node.ctl(&["-q", "list_connections", "vhost", "client_properties", "--no-table-headers"]).await;
        let ours = printed.lines().filter(|line| line.starts_with(&self.vhost));
        ours.filter_map(|line| line.split("\"connection_name\",\"").nth(1)?.split('"').next().map(str::to_owned))
            .collect()
    }

    /// What tells an open connection from one that was made later.
    pub async fn connection_ids(&self) -> std::collections::BTreeSet<String> {
        let printed = self.node.ctl(&["-q", "list_connections", "vhost", "pid", "--no-table-headers"]).await;
        printed.lines().filter(|line| line.starts_with(&self.vhost)).map(str::to_owned).collect()
    }

    /// Runs `rabbitmqctl` for this virtual host: `list_queues`, `list_bindings` and so on.
    pub async fn list(&self, what: &str, columns: &[&str]) -> Vec<Vec<String>> {
        let arguments = [&["-q", what, "-p", &self.vhost, "--no-table-headers"], columns].concat();
        let printed = self.node.ctl(&arguments).await;
        printed.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }

    /// The names of all queues.
    pub async fn queues(&self) -> Vec<String> {
        self.node.queues(&self.vhost).await
    }

    fn api(&self, what: &str, rest: &str) -> String {
        format!("{}/api/{what}/{}{rest}", self.node.management, self.vhost)
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        // A node that was killed or stopped has nothing left to clean, and goes with this process.
        // One that a failed test left frozen does not answer.
        let delete = ureq::delete(self.api("vhosts", "")).config().timeout_global(Some(GOODBYE)).build();
        let _ = delete.header("authorization", GUEST).call();
    }
}

/// How long a node may take to delete a virtual host.
const GOODBYE: Duration = Duration::from_secs(20);
/// guest:guest.
const GUEST: &str = "Basic Z3Vlc3Q6Z3Vlc3Q=";

fn put(url: &str, body: &str) {
    let request = ureq::put(url).header("authorization", GUEST).header("content-type", "application/json");
    if let Err(error) = request.send(body) {
        panic!("PUT {url}: {error}");
    }
}

async fn blocking(work: impl FnOnce() + Send + 'static) {
    tokio::task::spawn_blocking(work).await.expect("the request is made");
}

/// Whether the tests run on RabbitMQ 4.0, and not on 3.10.
#[must_use]
pub fn is_4() -> bool {
    std::env::var("RABBITMQ").is_ok_and(|line| line.starts_with('4'))
}

/// The line of RabbitMQ that the tests run on, as names have it.
pub(crate) fn line() -> &'static str {
    if is_4() { "4" } else { "3" }
}

/// The project's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in a folder of the project")
}

pub(crate) async fn script(arguments: &[&str]) -> String {
    let output = run(arguments).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scripts/rabbitmq {arguments:?} failed: {}\n{said}", output.status);
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

async fn run(arguments: &[&str]) -> std::process::Output {
    let path = root().join("scripts/rabbitmq");
    let output = Command::new(&path).args(arguments).stdin(Stdio::null()).output();
    output.await.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
