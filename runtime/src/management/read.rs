//! What is asked, in which order.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    ManagementError,
    answers::{Binding, Exchange, Page, Policy, QUEUE_COLUMNS, Queue},
    client::{Client, lasting},
};
use crate::topology::{
    Destination, Topology,
    compare::listing::{ListedBinding, ListedQueue, Listing},
};

/// How many questions are on their way at a time.
const AT_A_TIME: usize = 4;
/// How many queues are asked for at a time where they are asked for by the beginning of their names, and how often.
const PAGE: usize = 100;
const PAGES: u64 = 100;

pub(super) async fn list(client: &Client, service: &str, plan: &Topology) -> Result<Listing, ManagementError> {
    check_vhost(client).await?;
    let mut unread = Vec::new();
    let exchanges = plan.exchanges.iter().map(|exchange| exchange.name.clone()).collect();
    let exchanges = of_names(exchanges, |name| async move {
        let exchange = client.get::<Exchange>("exchanges", &[&name], &[]).await?;
        Ok(exchange.map(|exchange| (name, exchange)))
    })
    .await?;
    let queues = plan.queues.iter().map(|queue| queue.name.clone()).collect();
    let mut queues = of_names(queues, |name| queue(client, name)).await?;
    let planned: BTreeSet<String> = queues.iter().map(|(name, _)| name.clone()).collect();
    let others = queues_of(client, service, &mut unread).await?;
    queues.extend(others.into_iter().filter(|(name, _)| !planned.contains(name)));

    let bound_exchanges: BTreeSet<&str> = plan
        .bindings
        .iter()
        .filter_map(|binding| match &binding.destination {
            Destination::Exchange(name) => Some(name.as_str()),
            Destination::Queue(_) => None,
        })
        .collect();
    let there = exchanges.iter().map(|(name, _)| name).filter(|name| bound_exchanges.contains(name.as_str()));
    let mut bindings = of_names(there.cloned().collect(), |name| async move {
        bindings(client, "exchanges", &[&name, "bindings", "destination"]).await
    })
    .await?;
    let of_queues = queues.iter().map(|(name, _)| name.clone()).collect();
    bindings.extend(of_names(of_queues, |name| async move { bindings_of_queue(client, &name).await }).await?);

    for (name, _) in queues.iter().filter(|(_, queue)| queue.effective_policy_definition.is_none()) {
        unread.push(format!("policies of queue `{name}`: the broker has no statistics of it, or not yet"));
    }
    let definitions = Definitions::read(client, &queues, &exchanges).await?;
    Ok(Listing {
        exchanges: exchanges
            .into_iter()
            .map(|(name, exchange)| {
                let policy = exchange.policy.as_deref().and_then(|name| definitions.get(name, false));
                (name, exchange.listed(policy))
            })
            .collect(),
        queues: definitions.listed(queues).collect(),
        bindings: bindings.into_iter().flatten().collect(),
        unread,
    })
}

pub(super) async fn queues(client: &Client, names: &[String]) -> Result<Vec<(String, ListedQueue)>, ManagementError> {
    check_vhost(client).await?;
    let queues = of_names(names.to_vec(), |name| queue(client, name)).await?;
    Ok(Definitions::read(client, &queues, &[]).await?.listed(queues).collect())
}

/// What is not there and a virtual host that is not there look alike; this exchange is in each.
async fn check_vhost(client: &Client) -> Result<(), ManagementError> {
    let found = client.get::<Exchange>("exchanges", &["amq.direct"], &[]).await?;
    let vhost = &client.address().vhost;
    found
        .map(drop)
        .ok_or_else(|| lasting(format!("there is no virtual host `{vhost}`: create it, or correct the broker's URL")))
}

async fn queue(client: &Client, name: String) -> Result<Option<(String, Queue)>, ManagementError> {
    let queue = client.get::<Queue>("queues", &[&name], &[("columns", QUEUE_COLUMNS)]).await?;
    Ok(queue.map(|queue| (name, queue)))
}

/// All queues whose names begin with a service's.
async fn queues_of(
    client: &Client,
    service: &str,
    unread: &mut Vec<String>,
) -> Result<Vec<(String, Queue)>, ManagementError> {
    let (pattern, size) = (format!("^{service}\\."), PAGE.to_string());
    let mut found = Vec::new();
    for page in 1..=PAGES {
        let number = page.to_string();
        let query = [
            ("page", number.as_str()),
            ("page_size", &size),
            ("name", &pattern),
            ("use_regex", "true"),
            ("columns", QUEUE_COLUMNS),
        ];
        let Some(answer) = client.get::<Page>("queues", &[], &query).await? else { break };
        found.extend(answer.items.into_iter().map(|queue| (queue.name.clone(), queue)));
        if page >= answer.page_count {
            return Ok(found);
        }
    }
    unread.push(format!("queues of `{service}` beyond {}: there are more", found.len()));
    Ok(found)
}

async fn bindings_of_queue(client: &Client, name: &str) -> Result<Option<Vec<ListedBinding>>, ManagementError> {
    bindings(client, "queues", &[name, "bindings"]).await
}

async fn bindings(client: &Client, what: &str, rest: &[&str]) -> Result<Option<Vec<ListedBinding>>, ManagementError> {
    let bindings = client.get::<Vec<Binding>>(what, rest, &[]).await?;
    Ok(bindings.map(|bindings| bindings.into_iter().map(Binding::listed).collect()))
}

/// Asks once for each name, some at a time; what is not there is left out. An iterator that borrows, held while we wait, would
/// be beyond the compiler: it could not prove the whole future `Send`.
async fn of_names<T, F: Future<Output = Result<Option<T>, ManagementError>>>(
    names: Vec<String>,
    ask: impl FnMut(String) -> F,
) -> Result<Vec<T>, ManagementError> {
    let answers = stream::iter(names).map(ask).buffered(AT_A_TIME);
    answers.try_filter_map(|found| std::future::ready(Ok(found))).try_collect().await
}

/// The definitions of the policies that apply to something of ours.
struct Definitions(BTreeMap<(String, bool), Policy>);

impl Definitions {
    async fn read(
        client: &Client,
        queues: &[(String, Queue)],
        exchanges: &[(String, Exchange)],
    ) -> Result<Self, ManagementError> {
        let policies = queues.iter().map(|(_, queue)| &queue.policy);
        let policies = policies.chain(exchanges.iter().map(|(_, exchange)| &exchange.policy)).flatten();
        let operator_policies = queues.iter().filter_map(|(_, queue)| queue.operator_policy.as_ref());
        let names: BTreeSet<(String, bool)> = policies
            .map(|name| (name.clone(), false))
            .chain(operator_policies.map(|name| (name.clone(), true)))
            .filter(|(name, _)| !name.is_empty())
            .collect();
        let mut definitions = BTreeMap::new();
        for (name, operator) in names {
            let what = if operator { "operator-policies" } else { "policies" };
            // One that is gone meanwhile sets nothing more.
            if let Some(policy) = client.get::<Policy>(what, &[&name], &[]).await? {
                definitions.insert((name, operator), policy);
            }
        }
        Ok(Self(definitions))
    }

    fn get(&self, name: &str, operator: bool) -> Option<&Policy> {
        self.0.get(&(name.to_owned(), operator))
    }

    fn listed(&self, queues: Vec<(String, Queue)>) -> impl Iterator<Item = (String, ListedQueue)> {
        queues.into_iter().map(|(name, queue)| (name, queue.listed(|name, operator| self.get(name, operator))))
    }
}
