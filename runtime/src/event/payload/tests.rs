use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, de::DeserializeOwned};

use super::Payload;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only decoded")]
struct Card {
    number: u8,
    kind: Option<Kind>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Debit,
    Credit,
}

#[derive(Debug, Deserialize)]
enum Never {}

#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Fussy;

impl TryFrom<String> for Fussy {
    type Error = &'static str;

    fn try_from(_: String) -> Result<Self, Self::Error> {
        Err("no text will do")
    }
}

fn error<T: DeserializeOwned + std::fmt::Debug>(data: &str) -> String {
    Payload::new("paid", 1, data.as_bytes()).decode::<T>().unwrap_err().to_string()
}

#[test]
fn an_error_says_where_and_what_but_not_the_value() {
    let cases = [
        (error::<Card>(r#"{"number":"4111 1111"}"#), "invalid type: string, expected u8 at line 1 column 21"),
        (error::<Card>(r#"{"number":4111}"#), "invalid value: integer, expected u8 at line 1 column 14"),
        (error::<Card>(r#"{"number":-4}"#), "invalid value: integer, expected u8 at line 1 column 12"),
        (error::<Card>(r#"{"number":4.5}"#), "invalid type: floating point, expected u8 at line 1 column 13"),
        (error::<Card>(r#"{"number":true}"#), "invalid type: boolean, expected u8 at line 1 column 14"),
        (error::<Card>(r#"{"number":null}"#), "invalid type: null, expected u8 at line 1 column 14"),
        (error::<Card>(r#"{"number":{}}"#), "invalid type: map, expected u8 at line 1 column 10"),
        (error::<Card>("7"), "invalid type: integer, expected struct Card at line 1 column 1"),
        (
            error::<Card>(r#"{"number":1,"kind":"4111`, expected"}"#),
            "unknown variant, expected `debit` or `credit` at line 1 column 36",
        ),
        (error::<Never>(r#""4111""#), "unknown variant at line 1 column 6"),
        (error::<Card>("{}"), "missing field `number` at line 1 column 2"),
        (error::<Card>(r#"{"nr":1}"#), "unknown field `nr`, expected `number` or `kind` at line 1 column 5"),
        (error::<Fussy>(r#""4111""#), "no text will do"),
        (error::<Card>("4111 1"), "invalid type: integer, expected struct Card at line 1 column 4"),
        (error::<Card>(""), "EOF while parsing a value at line 1 column 0"),
    ];
    for (error, expected) in cases {
        assert_eq!(error, format!("the data of event `paid` does not fit its type: {expected}"));
    }
}

#[test]
fn it_shows_its_size_only() {
    let payload = Payload::new("paid", 2, br#"{"number":4111}"#);
    assert_eq!(format!("{payload:?}"), r#"Payload { name: "paid", version: 2, bytes: 15 }"#);
}

proptest! {
    #[test]
    fn no_text_of_the_data_is_in_the_error(start in "(, expected |`|\"|u8)?", end in "[^at -z]{0,20}") {
        let secret = format!("{start}4111-1111{end}");
        let json = serde_json::to_string(&BTreeMap::from([("number", &secret)])).unwrap();
        prop_assert!(!error::<Card>(&json).contains("4111"));
        let json = serde_json::to_string(&secret).unwrap();
        prop_assert!(!error::<Kind>(&json).contains("4111"));
    }
}
