use super::{RESERVED, check_entry};
use crate::envelope::headers::is_ours_or_the_brokers;

#[test]
fn entries_have_names_that_nobody_acts_on() {
    for name in ["tenant", "X-Tenant", "cc", "größe", "a b", "Id", "rabbitry", &"n".repeat(128)] {
        assert!(check_entry(name).is_ok(), "{name}");
        assert!(!is_ours_or_the_brokers(name), "{name}");
    }
    for name in ["x-", "x-death", "CC", "BCC", "rabbitry-", "rabbitry-attempt", "traceparent", "tracestate"] {
        assert!(check_entry(name).is_err(), "{name}");
        assert!(is_ours_or_the_brokers(name), "{name}");
    }
    for name in RESERVED.into_iter().chain(["", &"n".repeat(129)]) {
        assert!(check_entry(name).is_err(), "{name}");
    }
    assert_eq!(
        check_entry("key").unwrap_err().to_string(),
        "metadata entry `key` is one of rabbitry's own; its value is set by the event, the service or the builder; \
         choose another name"
    );
}
