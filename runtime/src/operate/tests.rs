//! What is understood of a command line, and what its help says.

use clap::{CommandFactory, Parser};
use expect_test::{Expect, expect};

use super::*;

#[test]
fn the_commands_make_sense() {
    Asked::command().debug_assert();
}

fn parse(arguments: &[&str]) -> Result<Asked, clap::Error> {
    Asked::try_parse_from(["stock"].iter().chain(arguments))
}

#[test]
fn without_a_command_the_service_runs() {
    assert!(parse(&[]).unwrap().command.is_none());
    assert!(matches!(parse(&["run"]).unwrap().command, Some(Command::Run)));
}

#[test]
fn options_of_all_commands_stand_anywhere_behind_topology() {
    for arguments in [["topology", "--json", "show"], ["topology", "show", "--json"]] {
        let Some(Command::Topology(topology)) = parse(&arguments).unwrap().command else { panic!("{arguments:?}") };
        assert!(topology.json && topology.management_url.is_none());
    }
    let Some(Command::Topology(topology)) =
        parse(&["topology", "diff", "--management-url", "http://rabbit:15672"]).unwrap().command
    else {
        panic!("it is a topology command")
    };
    assert_eq!(topology.management_url.as_deref(), Some("http://rabbit:15672"));
}

#[track_caller]
fn refused(arguments: &[&str], expected: &Expect) {
    let error = parse(arguments).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    expected.assert_eq(&error.to_string());
}

#[test]
fn what_is_no_command_is_told() {
    refused(
        &["topolgy"],
        &expect![[r#"
        error: unrecognized subcommand 'topolgy'

          tip: a similar subcommand exists: 'topology'

        Usage: stock [COMMAND]

        For more information, try '--help'.
    "#]],
    );
    refused(
        &["topology"],
        &expect![[r#"
            Look after what the service needs on the broker: its exchanges, queues and bindings

            Usage: stock topology [OPTIONS] <COMMAND>

            Commands:
              show     Show what the service needs. Asks no broker
              declare  Create what is missing, and consume nothing: for deploys. It changes and removes nothing that is there
              diff     Compare what the service needs with what the broker has. Changes nothing
              migrate  Move a handler's queue to the plan's arguments or type, or go on with that. Loses nothing, wherever it is interrupted
              prune    Remove the bindings that renamed or removed handlers left, after showing them. Needs --management-url

            Options:
                  --json                  Print JSON instead of text
                  --management-url <URL>  RabbitMQ's management API, which knows what AMQP does not tell: http://user:password@host:15672. Without a user and password it gets the broker's [env: RABBITRY_MANAGEMENT_URL]
              -h, --help                  Print help
        "#]],
    );
}

#[test]
fn the_help() {
    let help = |arguments: &[&str]| parse(arguments).unwrap_err().to_string();
    expect![[r#"
        What a command line asks for

        Usage: stock [COMMAND]

        Commands:
          run       Run the service until SIGTERM or SIGINT. This is what happens without a command, too
          topology  Look after what the service needs on the broker: its exchanges, queues and bindings

        Options:
          -h, --help  Print help

        The broker is the one that the program names, else that of the environment's AMQP_URL.

        Exit codes:
          0  done; for `topology diff`: no differences
          1  the service failed; for `topology diff`: differences
          2  it could not be done
    "#]]
    .assert_eq(&help(&["--help"]));
    expect![[r#"
        Look after what the service needs on the broker: its exchanges, queues and bindings

        Usage: stock topology [OPTIONS] <COMMAND>

        Commands:
          show     Show what the service needs. Asks no broker
          declare  Create what is missing, and consume nothing: for deploys. It changes and removes nothing that is there
          diff     Compare what the service needs with what the broker has. Changes nothing
          migrate  Move a handler's queue to the plan's arguments or type, or go on with that. Loses nothing, wherever it is interrupted
          prune    Remove the bindings that renamed or removed handlers left, after showing them. Needs --management-url

        Options:
              --json                  Print JSON instead of text
              --management-url <URL>  RabbitMQ's management API, which knows what AMQP does not tell: http://user:password@host:15672. Without a user and password it gets the broker's [env: RABBITRY_MANAGEMENT_URL]
          -h, --help                  Print help
    "#]].assert_eq(&help(&["topology", "--help"]));
}
