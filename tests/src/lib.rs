//! What the tests on real brokers share.
