#!/usr/bin/env bash
# Runs the tests, on a private RabbitMQ that it installs if the machine has none.
#
# usage: scripts/test.sh [--brokers] [ARGS OF CARGO TEST...]
#
# --brokers   only the tests that need a broker: after a full run, with RABBITMQ=4 for the other line of RabbitMQ
#
# RABBITMQ=4 takes RabbitMQ 4.0 instead of 3.10. It is unpacked once into target/, which needs root.
set -euo pipefail
cd "$(dirname "$0")/.."

what=(--workspace --all-features)
if [[ ${1-} == --brokers ]]; then
  shift
  what=(-p rabbitry-tests --all-features)
  for file in $(grep -lE 'TestBroker|on_both!' tests/tests/*.rs); do
    what+=(--test "$(basename "$file" .rs)")
  done
fi

# The node that tests share lives as long as this script: each of them only finds it running.
case ${RABBITMQ-3} in
4*) node=tests-4 ;;
*) node=tests-3 ;;
esac
scripts/rabbitmq start $node --while $$ >/dev/null

# These tests wait more than they work.
export RUST_TEST_THREADS=${RUST_TEST_THREADS-8}
# What the tests of whole processes start.
cargo build --workspace --all-features --bins
exec cargo test --no-fail-fast "${what[@]}" "$@"
