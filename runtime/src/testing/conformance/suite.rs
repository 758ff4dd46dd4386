//! The list of all scenarios, and the macro that makes tests of it.

/// Makes a test of each scenario of [`conformance`](crate::testing::conformance), on the harness that the expression
/// gives. It is evaluated in each test, and may `.await`. The crate that calls it depends on `tokio`, with the features
/// `macros` and `rt-multi-thread`.
///
/// Scenarios that restart the broker can have another harness, where most share one broker:
///
/// ```ignore
/// rabbitry::testing::conformance_suite!(MyHarness::new().await);
/// rabbitry::testing::conformance_suite!(MyHarness::shared().await, restarting: MyHarness::private().await);
/// ```
#[macro_export]
#[doc(hidden)]
macro_rules! __conformance_suite {
    ($harness:expr $(,)?) => {
        $crate::__conformance_suite!($harness, restarting: $harness);
    };
    ($harness:expr, restarting: $restarting:expr $(,)?) => {
        $crate::__conformance_suite! {
            @tests $harness;
            content {
                every_property_round_trips
                absent_properties_stay_absent
                every_header_type_round_trips
                bodies_of_any_size_round_trip
                a_delivery_names_its_exchange_and_key
                a_forged_user_is_refused
            }
            queues {
                a_queue_keeps_its_order
                consumers_share_the_work
                free_consumers_take_turns
                prefetch_is_a_limit
                widening_a_prefetch_keeps_the_order
                tags_count_from_one_on_each_channel
                a_missing_queue_is_refused
                what_is_with_a_consumer_is_not_counted
                a_single_active_consumer_hands_over
                a_full_queue_drops_its_head
                an_unused_queue_expires
            }
            settling {
                acks_may_come_in_any_order
                ack_up_to_takes_all_below
                a_requeued_message_keeps_its_place
                a_quorum_queue_counts_deliveries
                a_forged_delivery_count_counts_for_nothing
                a_queue_without_a_limit_has_the_brokers
                a_wrong_tag_loses_the_channel
            }
            giving_back {
                a_closed_channel_gives_back
                a_dropped_channel_gives_back
                a_closed_connection_gives_back
                a_connection_closed_by_an_operator_gives_back
                what_was_not_polled_is_given_back
            }
            dead_letters {
                a_rejected_message_is_dead_lettered
                a_queue_may_name_the_key_of_its_dead_letters
                without_an_exchange_a_rejected_message_is_gone
                the_delivery_limit_ends_returns
                at_least_once_dead_letters_all
                a_dead_letter_tells_how_often_it_failed
                orphans_go_to_the_alternate_exchange
            }
            publishing {
                every_message_gets_one_answer
                answers_can_be_waited_for_in_any_order
                a_mandatory_message_comes_back
                an_alternate_exchange_takes_the_rest
                a_missing_exchange_refuses_the_channel
                an_unwritable_message_harms_no_other
                a_full_queue_answers_no
                a_no_is_not_stored_nowhere
                channels_do_not_mix_answers
            }
            routing {
                topic_patterns_match_words
                direct_matches_the_whole_key
                fanout_matches_all
                headers_match_all_or_any
                the_default_exchange_leads_to_each_queue
                exchanges_lead_to_exchanges
                a_cycle_of_exchanges_ends
                each_queue_gets_it_once
                copies_go_to_more_keys
            }
            expiry {
                a_queues_ttl_hands_on
                without_an_exchange_an_expired_message_is_gone
                two_levels_add_up
                the_shorter_time_counts
                a_message_expires_at_the_head_only
                a_cycle_of_expiries_ends
                the_delay_ladder_is_on_time
                a_level_hands_on_many_in_order
            }
            declaring {
                declaring_again_changes_nothing
                unequal_objects_are_refused
                verifying_makes_nothing
                assuming_does_nothing
                an_existing_queue_is_taken_as_it_is
                a_joined_exchange_is_taken_as_it_is
                a_refusal_does_not_stop_the_rest
                a_binding_needs_both_ends
                impossible_arguments_are_refused
            }
            removing {
                an_unbound_queue_gets_nothing_more
                arguments_tell_bindings_apart
                an_exchange_can_be_unbound
                a_deleted_queue_is_gone
                deleting_a_queue_ends_its_consumers
                a_deleted_exchange_is_gone
                removing_what_is_not_there_is_no_mistake
                a_quorum_queue_knows_who_holds_its_messages
            }
            exclusive {
                an_exclusive_queue_is_named_and_bound
                an_exclusive_queue_is_its_connections_own
                an_exclusive_queue_goes_with_its_connection
                an_exclusive_queue_goes_with_its_consumer
                an_exclusive_queue_needs_its_exchange
            }
            stopping {
                what_was_sent_ahead_still_comes
                stopping_proves_acknowledgements
                settlements_after_the_stop_are_kept
                others_go_on
            }
            connections {
                a_new_connection_is_open
                a_closed_connection_is_over
                a_connection_closed_by_an_operator_is_over
                a_lost_connection_gives_nothing_out
                whoever_waits_is_told
                what_was_confirmed_before_a_loss_is_stored
                connections_do_not_share_their_fate
                an_address_holds_no_password
            }
        }
        $crate::__conformance_suite! {
            @tests $restarting;
            restarts {
                a_restart_keeps_what_is_persistent
                a_restart_drops_what_is_not_persistent
                a_restart_loses_connections
            }
        }
    };
    (@tests $harness:expr; $($topic:ident { $($scenario:ident)* })*) => {$($(
        #[::tokio::test(flavor = "multi_thread")]
        async fn $scenario() {
            let harness = $harness;
            $crate::testing::conformance::$topic::$scenario(&harness).await;
        }
    )*)*};
}
