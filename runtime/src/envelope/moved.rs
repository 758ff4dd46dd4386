//! Copies of a message that did not fail, and goes to another queue.

use super::{
    Limits, Message,
    copy::{FRAME_RESERVE, dropped_before, fit_frame, name_dropped, note_origin, says_where_it_came_from, set_aside},
};

/// The copy of a message that goes to another queue by this exchange. Like every copy it leaves out what the broker acts on. It
/// has the same routing key, which a message without a name is named by, and what an earlier copy said of it stays true.
pub(crate) fn moved(message: &Message, exchange: String, limits: Limits) -> Message {
    let mut copy = message.clone();
    copy.exchange = exchange.into();
    let is_first_copy = !says_where_it_came_from(message);
    let mut dropped = dropped_before(&mut copy.properties);
    set_aside(&mut copy, message, is_first_copy, &mut dropped);
    if is_first_copy {
        note_origin(&mut copy, message);
    }
    name_dropped(&mut copy.properties, &dropped);
    // What we did not write may be of any length, whatever its name.
    fit_frame(&mut copy.properties, limits.frame_max.saturating_sub(FRAME_RESERVE));
    copy
}
