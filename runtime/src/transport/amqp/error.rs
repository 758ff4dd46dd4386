//! What the broker's and lapin's errors mean for us.

use super::super::{NOT_ALLOWED, NOT_FOUND, TransportError};

/// What an error of lapin's means for us.
pub(super) fn error(error: &lapin::Error) -> TransportError {
    let lapin::ErrorKind::ProtocolError(answer) = error.kind() else {
        return TransportError::lost(error.to_string());
    };
    said(answer.get_id(), answer.get_message().to_string())
}

/// What an answer of the broker's means for us. Much of what a cluster says while a node is away, or while a queue has no
/// leader, passes: it must not be taken for a no.
fn said(code: u16, text: String) -> TransportError {
    match code {
        // The operator closed the connection, or the broker stops, or is in trouble itself. 541 is what a quorum queue without
        // a majority gives to whoever declares or consumes it.
        320 | 504..=506 | 541 => TransportError::lost(format!("the broker closed the connection: {text}")),
        NOT_FOUND if AWAY.iter().any(|away| text.contains(away)) => TransportError::Away { reason: text },
        NOT_ALLOWED if LIMITS.iter().any(|limit| text.contains(limit)) => {
            TransportError::lost(format!("the broker takes no more connections or channels for now: {text}"))
        }
        _ => TransportError::Refused { code, text },
    }
}

/// RabbitMQ has no code of its own for a queue that exists and cannot be reached: it says 404, and tells more in these words.
const AWAY: [&str; 5] = [
    // A classic queue whose node is down; 4.0 mostly says the second.
    "is down or inaccessible",
    "due to timeout",
    "process is stopped by supervisor",
    "has crashed and failed to restart",
    // Its leader.
    "may be stopping or being demoted",
];

/// A limit of a node, a virtual host or a user. Connections end, and this one is taken, at the next try or at another node.
const LIMITS: [&str; 2] = ["connection limit", "has reached the maximum allowed limit"];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is_away(text: &str) {
        assert_eq!(said(404, text.to_owned()), TransportError::Away { reason: text.to_owned() });
    }

    #[track_caller]
    fn passes(code: u16, text: &str) {
        let meaning = said(code, text.to_owned());
        assert!(
            matches!(&meaning, TransportError::Lost { reason } if reason.contains(text)),
            "{code} {text}: {meaning:?}"
        );
    }

    #[track_caller]
    fn is_a_no(code: u16, text: &str) {
        let meaning = said(code, text.to_owned());
        assert_eq!(meaning, TransportError::Refused { code, text: text.to_owned() });
    }

    // The texts are RabbitMQ's own, 3.10 first and then 4.0 where they differ.

    #[test]
    fn a_queue_that_cannot_be_reached_is_tried_again() {
        is_away("NOT_FOUND - home node 'rabbit@b' of durable queue 'in' in vhost '/' is down or inaccessible");
        is_away("NOT_FOUND - failed to perform operation on queue 'in' in vhost '/' due to timeout");
        is_away("NOT_FOUND - queue 'in' in vhost '/' process is stopped by supervisor");
        is_away("NOT_FOUND - queue 'in' in vhost '/' has crashed and failed to restart");
        is_away(
            "NOT_FOUND - failed to perform operation on queue 'in' in vhost '/': its master replica <0.1.0> may be stopping or being demoted",
        );
        is_away(
            "NOT_FOUND - failed to perform operation on queue 'in' in vhost '/': its leader <0.1.0> may be stopping or being demoted",
        );
        is_a_no(404, "NOT_FOUND - no queue 'in' in vhost '/'");
        is_a_no(404, "NOT_FOUND - no exchange 'events' in vhost '/'");
    }

    #[test]
    fn a_broker_in_trouble_is_tried_again() {
        passes(541, "INTERNAL_ERROR");
        passes(
            541,
            "INTERNAL_ERROR - Cannot declare quorum queue 'in' in vhost '/' on node 'rabbit@a' with leader on node 'rabbit@a': cluster_not_formed",
        );
        passes(320, "CONNECTION_FORCED - Node was put into maintenance mode");
        passes(541, "INTERNAL_ERROR - access to vhost 'shop' refused for user 'shop': vhost 'shop' is down");
    }

    #[test]
    fn a_limit_of_connections_is_tried_again() {
        passes(530, "NOT_ALLOWED - connection refused: node connection limit (10) is reached");
        passes(530, "NOT_ALLOWED - access to vhost 'shop' refused for user 'shop': connection limit (10) is reached");
        passes(530, "NOT_ALLOWED - connection refused for user 'shop': user connection limit (10) is reached");
        passes(
            530,
            "NOT_ALLOWED - number of channels opened on node 'rabbit@a' has reached the maximum allowed limit of (9)",
        );
        is_a_no(530, "NOT_ALLOWED - vhost shop not found");
        is_a_no(530, "NOT_ALLOWED - access to vhost 'shop' refused for user 'shop'");
        is_a_no(403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.");
    }
}
