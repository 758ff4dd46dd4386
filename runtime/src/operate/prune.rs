//! `topology prune`: removes the bindings that renamed or removed handlers left.

use std::{fmt, process::ExitCode};

use serde::Serialize;

use super::{Failure, arguments::PruneOptions, console::Console, declare::unasked};
use crate::{
    service::Site,
    topology::{Binding, Comparison, Difference},
};

/// What a comparison found of stale bindings, and what is to become of each.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Stale {
    /// Those that go.
    removed: Vec<Binding>,
    /// Those that stay.
    kept: Vec<Kept>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Kept {
    #[serde(flatten)]
    binding: Binding,
    why: String,
}

pub(super) async fn prune(site: &Site, options: &PruneOptions, console: &Console) -> Result<ExitCode, Failure> {
    if site.management.is_none() {
        return Err("AMQP cannot list bindings: give --management-url, or set RABBITRY_MANAGEMENT_URL".into());
    }
    let stale = stale(&site.compare().await?, options.retries);
    if stale.removed.is_empty() {
        console.tell(&format!("{stale}No binding is to be removed.\n"), &stale)?;
        return Ok(ExitCode::SUCCESS);
    }
    console.say(&stale);
    let question = match stale.removed.len() {
        1 => "Remove this binding?".to_owned(),
        count => format!("Remove these {count} bindings?"),
    };
    if !console.confirm(&question, options.yes).await? {
        console.say("Nothing was removed.");
        return Ok(ExitCode::SUCCESS);
    }
    let broker = site.transport.address();
    let connection = site.connect("pruning").await.map_err(|error| unasked(&broker, &error))?;
    for (removed, binding) in stale.removed.iter().enumerate() {
        if let Err(error) = connection.unbind(binding).await {
            connection.close().await;
            return Err(
                format!("{removed} of them are removed, but not {binding}: {}", unasked(&broker, &error)).into()
            );
        }
    }
    connection.close().await;
    console.tell(&format!("Removed: {}\n", stale.removed.len()), &stale)?;
    Ok(ExitCode::SUCCESS)
}

fn stale(comparison: &Comparison, with_retries: bool) -> Stale {
    let mut stale = Stale::default();
    let mut sort = |binding: &Binding, why: Option<String>| {
        let binding = binding.clone();
        match why {
            None => stale.removed.push(binding),
            Some(why) => stale.kept.push(Kept { binding, why }),
        }
    };
    const RETRIES: &str = "retries may still come back by it; --retries removes it";
    for difference in &comparison.differences {
        match difference {
            Difference::StaleBinding { binding, retries } => {
                sort(binding, (*retries && !with_retries).then(|| RETRIES.to_owned()));
            }
            Difference::StaleQueue { queue, consumers, bindings, .. } => {
                for binding in bindings {
                    let retries = binding.routing_key.ends_with(&format!("*.queue.{queue}"));
                    let why = if *consumers > 0 {
                        Some(format!("the queue has {consumers} consumers: another program uses it"))
                    } else if queue.ends_with(".dead") {
                        Some(
                            "dead letters may still come by it, as long as the queue they come from is there"
                                .to_owned(),
                        )
                    } else if retries && !with_retries {
                        Some(RETRIES.to_owned())
                    } else {
                        None
                    };
                    sort(binding, why);
                }
            }
            _ => {}
        }
    }
    stale
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for binding in &self.removed {
            writeln!(f, "stale: {binding}")?;
        }
        for Kept { binding, why } in &self.kept {
            writeln!(f, "kept: {binding} ({why})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::topology::Destination;

    fn found(differences: Vec<Difference>) -> Comparison {
        Comparison { differences, ..Comparison::default() }
    }

    fn binding(source: &str, queue: &str, key: &str) -> Binding {
        Binding::new(source, Destination::Queue(queue.to_owned()), key)
    }

    fn differences() -> Vec<Difference> {
        let queue = |queue: &str, consumers, bindings| Difference::StaleQueue {
            queue: queue.to_owned(),
            messages: Some(3),
            consumers,
            bindings,
        };
        let ladder = |queue: &str| binding("rabbitry.v1.delay.out", queue, &format!("*.*.queue.{queue}"));
        vec![
            Difference::StaleBinding { binding: binding("events", "stock.order", "renamed"), retries: false },
            Difference::StaleBinding { binding: ladder("stock.order"), retries: true },
            queue("stock.old", 0, vec![binding("events", "stock.old", "order"), ladder("stock.old")]),
            queue("stock.old.dead", 0, vec![binding("rabbitry.v1.dead", "stock.old.dead", "stock.old")]),
            queue("stock.theirs", 2, vec![binding("events", "stock.theirs", "order")]),
            Difference::Missing { object: crate::topology::Object::Queue("stock.new".to_owned()) },
        ]
    }

    #[test]
    fn what_nobody_needs_goes_and_what_somebody_may_need_stays() {
        expect![[r#"
            stale: events → queue stock.order by `renamed`
            stale: events → queue stock.old by `order`
            kept: rabbitry.v1.delay.out → queue stock.order by `*.*.queue.stock.order` (retries may still come back by it; --retries removes it)
            kept: rabbitry.v1.delay.out → queue stock.old by `*.*.queue.stock.old` (retries may still come back by it; --retries removes it)
            kept: rabbitry.v1.dead → queue stock.old.dead by `stock.old` (dead letters may still come by it, as long as the queue they come from is there)
            kept: events → queue stock.theirs by `order` (the queue has 2 consumers: another program uses it)
        "#]]
        .assert_eq(&stale(&found(differences()), false).to_string());
        let all = stale(&found(differences()), true);
        assert_eq!((all.removed.len(), all.kept.len()), (4, 2), "{all}");
    }
}
