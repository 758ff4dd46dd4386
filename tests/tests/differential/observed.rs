//! What can be seen of a delivery, without what no two brokers can have in common.

use rabbitry::transport::{Delivery, HeaderValue, Headers};

/// What RabbitMQ 3.10 shows otherwise than 4.0, which the memory broker models.
pub(super) fn is_3() -> bool {
    !std::env::var("RABBITMQ").is_ok_and(|line| line.starts_with('4'))
}

/// A delivery as text: everything but times.
pub(super) fn shown(delivery: &Delivery) -> String {
    let message = &delivery.message;
    let mut headers = message.properties.headers.clone();
    let dead = headers.contains_key("x-death");
    let mut redelivered = delivery.redelivered;
    if let Some(HeaderValue::I64(0)) = headers.get("x-delivery-count") {
        // 3.10 says 0 where 4.0 says nothing.
        headers.remove("x-delivery-count");
    }
    if is_3() {
        // 3.10 has no such headers.
        headers.retain(|name, _| !name.starts_with("x-last-death-"));
        if dead {
            // 4.0 carries both over a dead-lettering, 3.10 does not.
            headers.remove("x-delivery-count");
            redelivered = false;
        }
    }
    timeless(&mut headers);
    format!(
        "#{} {} from `{}` by `{}` redelivered={redelivered} expiration={:?} {headers:?}",
        delivery.tag,
        String::from_utf8_lossy(&message.body),
        message.exchange,
        message.routing_key,
        message.properties.expiration,
    )
}

fn timeless(headers: &mut Headers) {
    headers.remove("time");
    for value in headers.values_mut() {
        match value {
            HeaderValue::Table(table) => timeless(table),
            HeaderValue::Array(values) => {
                for value in values {
                    if let HeaderValue::Table(table) = value {
                        timeless(table);
                    }
                }
            }
            // Whichever width a broker writes it in.
            other => {
                let number = match *other {
                    HeaderValue::I32(number) => Some(i64::from(number)),
                    HeaderValue::U32(number) => Some(i64::from(number)),
                    HeaderValue::U16(number) => Some(i64::from(number)),
                    HeaderValue::U8(number) => Some(i64::from(number)),
                    _ => None,
                };
                if let Some(number) = number {
                    *other = HeaderValue::I64(number);
                }
            }
        }
    }
}
