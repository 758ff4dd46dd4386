//! Plans of several versions side by side.

use super::{service, subscription};
use crate::topology::{Argument, Arguments, PlanVersion, PlannedService, Topology, plan, work_queue_arguments};

fn planned(version: u16, delays: Option<&str>) -> Topology {
    let service = service(vec![subscription("stock.reserve", &["order_created"])], Some(3));
    plan(&PlannedService { version: PlanVersion::new(version), delays: delays.map(str::to_owned), ..service })
}

#[test]
fn versions_share_nothing_but_events_and_the_queues_of_handlers() {
    for delays in [None, Some("team.delay")] {
        let (first, second) = (planned(1, delays), planned(2, delays));
        let names = |plan: &Topology| -> Vec<String> {
            let exchanges = plan.exchanges.iter().map(|exchange| exchange.name.clone());
            exchanges.chain(plan.queues.iter().map(|queue| queue.name.clone())).collect()
        };
        let (ours, theirs) = (names(&first), names(&second));
        let shared: Vec<&String> = theirs.iter().filter(|name| ours.contains(name)).collect();
        assert_eq!(shared, ["events", "stock.reserve.dead", "stock.reserve"]);
        // Of these, all but the arguments that name what is not shared is the same.
        let queue = |plan: &Topology, name: &str| plan.queues.iter().find(|queue| queue.name == name).cloned();
        assert_eq!(queue(&first, "stock.reserve.dead"), queue(&second, "stock.reserve.dead"));
    }
}

#[test]
fn a_plan_knows_those_before_it() {
    assert_eq!(planned(1, None).former, []);
    let third = planned(3, None);
    let former = |version| Topology { former: Vec::new(), ..planned(version, None) };
    assert_eq!(third.former, [former(2), former(1)]);
    // It is exported without them.
    assert!(!serde_json::to_string(&third).unwrap().contains("rabbitry.v1"));
}

#[test]
fn work_queues_are_those_of_handlers() {
    let plan = planned(2, None);
    let names: Vec<&str> = plan.work_queues().map(|queue| queue.name.as_str()).collect();
    assert_eq!(names, ["stock.reserve"]);
}

#[test]
fn a_queue_of_a_later_version_is_known_by_its_dead_letters() {
    let arguments = |version| work_queue_arguments("a.b", crate::QueueType::Quorum, PlanVersion::new(version));
    // As RabbitMQ 3.10 and 4.0 say it, of two texts.
    let text = |argument: &str, current: &str| {
        format!(
            "PRECONDITION_FAILED - inequivalent arg '{argument}' for queue 'a.b' in vhost '/': received 'rabbitry.v1.dead' but current is '{current}'"
        )
    };
    let dead = "x-dead-letter-exchange";
    let later = |version, text: &str| PlanVersion::later_by_refusal(&arguments(version), text);
    assert_eq!(later(1, &text(dead, "rabbitry.v2.dead")), Some(PlanVersion::new(2)));
    assert_eq!(later(1, &text(dead, "rabbitry.v12.dead")), Some(PlanVersion::new(12)));
    assert_eq!(later(2, &text(dead, "rabbitry.v2.dead")), None, "the same");
    assert_eq!(later(3, &text(dead, "rabbitry.v2.dead")), None, "an earlier one");
    for other in ["rabbitry.v2.delay.out", "rabbitry.vx.dead", "rabbitry.v2.dead.x", "dead", "rabbitry.v70000.dead"] {
        assert_eq!(later(1, &text(dead, other)), None, "{other}");
    }
    let none = text(dead, "").replace("''", "none");
    assert_eq!(later(1, &none), None);
    assert_eq!(later(1, &text("x-dead-letter-routing-key", "rabbitry.v2.dead")), None);
    assert_eq!(later(1, ""), None);
    let foreign = Arguments::from([(dead.to_owned(), Argument::from("theirs"))]);
    assert_eq!(PlanVersion::later_by_refusal(&foreign, &text(dead, "rabbitry.v2.dead")), None);
}
