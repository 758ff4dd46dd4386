//! A producer: publishes as many events as it is told to, and says what became of each.

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use rabbitry::{Format, Publisher, Service, Unrouted};

use super::{
    events::Order,
    fate,
    line::Line,
    role::{Failure, NUMBER, input, serve, variable},
};

/// How many events it has on their way at a time.
const WIDTH: usize = 64;

/// Runs until its input ends, and then until everything is answered.
pub(crate) async fn run() -> Result<(), Failure> {
    let number: String = variable(NUMBER)?;
    let mut service = Service::new("source").publishes::<Order>();
    // So that ids travel in both ways that there are, and publishing is answered in both.
    if number.starts_with("2.") {
        service = service.format(Format::Bare).unrouted(Unrouted::Fail);
    }
    serve(service, async |running| {
        let orders = running.publisher::<Order>()?;
        Line::Ready.say();
        let mut told = input();
        let (mut wanted, mut next, mut over) = (0u64, 0u64, false);
        let mut publishing: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
        while !(over && wanted == 0 && publishing.is_empty()) {
            while wanted > 0 && publishing.len() < WIDTH {
                publishing.push(Box::pin(publish(orders.clone(), format!("{number}.{next}"))));
                (wanted, next) = (wanted - 1, next + 1);
            }
            tokio::select! {
                line = told.recv(), if !over => match line {
                    Some(more) => wanted += more.parse::<u64>()?,
                    None => over = true,
                },
                Some(()) = publishing.next(), if !publishing.is_empty() => {}
            }
        }
        Ok(())
    })
    .await
}

async fn publish(orders: Publisher<Order>, subject: String) {
    Line::Sent { subject: subject.clone() }.say();
    let event = orders.event(Order { subject: subject.clone() }).id(fate::id(&subject));
    let answer = match event.publish().await {
        Ok(_) => Line::Confirmed { subject },
        Err(error) if error.may_have_arrived() => Line::Unknown { subject, why: error.to_string() },
        Err(error) => Line::Refused { subject, why: error.to_string() },
    };
    answer.say();
}
