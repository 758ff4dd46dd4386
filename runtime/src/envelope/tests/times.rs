//! Times as text.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use crate::envelope::headers::{format_time, parse_time};

fn at(ms: i64) -> SystemTime {
    if ms < 0 {
        SystemTime::UNIX_EPOCH - Duration::from_millis(ms.unsigned_abs())
    } else {
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms.unsigned_abs())
    }
}

#[test]
fn times_are_written_in_utc_to_the_millisecond() {
    assert_eq!(format_time(at(0)).as_deref(), Some("1970-01-01T00:00:00.000Z"));
    assert_eq!(format_time(at(1_750_000_000_120)).as_deref(), Some("2025-06-15T15:06:40.120Z"));
    assert_eq!(format_time(at(-1)).as_deref(), Some("1969-12-31T23:59:59.999Z"));
    assert_eq!(format_time(at(0) + Duration::from_nanos(1_999_999)).as_deref(), Some("1970-01-01T00:00:00.001Z"));
    assert_eq!(format_time(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40)), None);
}

#[test]
fn times_are_read_as_anybody_writes_them() {
    for text in [
        "2025-06-15T15:06:40.120Z",
        "2025-06-15T15:06:40.12Z",
        "2025-06-15T15:06:40.120000000Z",
        "2025-06-15t15:06:40.120z",
        "2025-06-15 15:06:40.120Z",
        "2025-06-15T17:06:40.120+02:00",
        "2025-06-15T15:06:40.120+00:00",
    ] {
        assert_eq!(parse_time(text), Some(at(1_750_000_000_120)), "{text}");
    }
    for text in ["", "now", "2025-06-15", "2025-06-15T15:06:40", "1750000000", "2025-13-15T15:06:40Z"] {
        assert_eq!(parse_time(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(ms in -62_135_596_800_000i64..253_402_207_200_000) {
        prop_assert_eq!(format_time(at(ms)).as_deref().and_then(parse_time), Some(at(ms)));
    }

    #[test]
    fn no_text_panics(text in any::<String>(), near in "[-+0-9:TZ.]{0,30}") {
        let _ = (parse_time(&text), parse_time(&near));
    }
}
