use std::time::Duration;

use super::IntoDuration;

#[test]
fn durations_as_people_write_them() {
    let cases = [
        ("500ms", Duration::from_millis(500)),
        ("1s", Duration::from_secs(1)),
        ("90s", Duration::from_secs(90)),
        ("5m", Duration::from_secs(300)),
        ("1h 30m", Duration::from_secs(5400)),
        ("1h30m", Duration::from_secs(5400)),
        ("30d", Duration::from_secs(30 * 86_400)),
        ("0s", Duration::ZERO),
    ];
    for (text, duration) in cases {
        assert_eq!(text.into_duration(), Ok(duration), "{text}");
    }
    assert_eq!(Duration::MAX.into_duration(), Ok(Duration::MAX));
}

#[test]
fn what_is_no_duration_says_what_would_be() {
    for text in ["", " ", "7", "s", "-1s", "1 fortnight", "1s later", "99999999999999999999s", "18446744073709551615h"]
    {
        let error = text.into_duration().unwrap_err().to_string();
        assert!(error.starts_with(&format!("`{text}` is not a length of time")), "{error}");
        assert!(error.contains("\"500ms\""), "{error}");
    }
}
