//! What leads to a work queue.

use super::{MigrateError, run::Run};
use crate::{
    management::ManagementError,
    topology::{Binding, Destination, Queue, Topology, compare},
};

/// A binding of the work queue, which the holding queue has while that is made anew.
pub(super) struct Route {
    binding: Binding,
    /// Whether it is one of an earlier version of the plan, and only there if services of that version were.
    pub(super) is_former: bool,
}

impl Route {
    pub(super) fn sure(binding: Binding) -> Self {
        Self { binding, is_former: false }
    }

    /// The same, leading to this queue.
    pub(super) fn to(&self, queue: &str) -> Binding {
        Binding { destination: Destination::Queue(queue.to_owned()), ..self.binding.clone() }
    }
}

/// Those of the plan, those of its earlier versions, and where the management API tells them, all others that there are.
pub(super) async fn of(run: &Run<'_>) -> Result<Vec<Route>, MigrateError> {
    let work = &run.planned().name;
    let leads_to =
        |queue: &str, binding: &Binding| matches!(&binding.destination, Destination::Queue(name) if name == queue);
    let plan = &run.migration.site.topology;
    let mut routes: Vec<Route> =
        plan.bindings.iter().filter(|binding| leads_to(work, binding)).cloned().map(Route::sure).collect();
    let former = plan.former.iter().flat_map(|plan| &plan.bindings).filter(|binding| leads_to(work, binding));
    for binding in former {
        add(&mut routes, Route { binding: binding.clone(), is_former: true });
    }
    for binding in listed(run).await? {
        // The others are bound to one of the two already.
        if binding.source != run.holding.exchange {
            add(&mut routes, Route::sure(Route::sure(binding).to(work)));
        }
    }
    Ok(routes)
}

fn add(routes: &mut Vec<Route>, route: Route) {
    if !routes.iter().any(|other| other.binding == route.binding) {
        routes.push(route);
    }
}

/// What the management API tells of what leads to the work queue or to the holding queue.
async fn listed(run: &Run<'_>) -> Result<Vec<Binding>, MigrateError> {
    let site = &run.migration.site;
    let Some(management) = &site.management else { return Ok(Vec::new()) };
    let holding = run.holding.topology().queues;
    let queues: Vec<Queue> = holding.into_iter().chain([run.planned().clone()]).collect();
    let names: Vec<String> = queues.iter().map(|queue| queue.name.clone()).collect();
    let of_both = Topology { queues, ..Topology::default() };
    let listing = management.list(&site.service, &of_both).await.map_err(|error| unread(run, &error))?;
    let mut bindings = Vec::new();
    for listed in listing.bindings.iter().filter(|listed| !listed.source.is_empty()) {
        let Destination::Queue(queue) = &listed.destination else { continue };
        if !names.contains(queue) {
            continue;
        }
        bindings.push(compare::binding(listed).ok_or_else(|| MigrateError::OddBinding {
            queue: queue.clone(),
            exchange: listed.source.clone(),
            routing_key: listed.routing_key.clone(),
        })?);
    }
    Ok(bindings)
}

pub(super) fn unread(run: &Run<'_>, error: &ManagementError) -> MigrateError {
    let management = run.migration.site.management.as_ref().map(ToString::to_string).unwrap_or_default();
    MigrateError::Management { management, reason: error.to_string() }
}
