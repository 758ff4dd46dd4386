use super::Key;

#[test]
fn equal_keys_have_one_text() {
    let text = |key: &dyn Key| key.key().map(std::borrow::Cow::into_owned);
    assert_eq!(text(&7u64).as_deref(), Some("7"));
    assert_eq!(text(&i128::MIN).as_deref(), Some("-170141183460469231731687303715884105728"));
    assert_eq!(text(&true).as_deref(), Some("true"));
    assert_eq!(text(&'ß').as_deref(), Some("ß"));
    assert_eq!(text(&String::from("a b")).as_deref(), Some("a b"));
    assert_eq!(text(&String::new()).as_deref(), Some(""));
    assert_eq!(text(&uuid::Uuid::nil()).as_deref(), Some("00000000-0000-0000-0000-000000000000"));
    assert_eq!(text(&Some(7)).as_deref(), Some("7"));
    assert_eq!(text(&None::<String>), None);
    assert_eq!(text(&Some(None::<u8>)), None);
}
