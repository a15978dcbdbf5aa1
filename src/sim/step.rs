//! Names of messages: the steps of the protocol that a fault can hit.

use crate::wire::{Message, MirrorMessage};

/// The step that a message is.
pub(super) fn step_of(message: &Message) -> &'static str {
    match message {
        Message::Join { .. } => "join",
        Message::Attach { .. } => "attach",
        Message::Push { .. } => "push",
        Message::Pull { .. } => "pull",
        Message::Await { .. } => "await",
        Message::Ticked { .. } => "ticked",
        Message::Leave { .. } => "leave",
        Message::Heartbeat { .. } => "heartbeat",
        Message::Joined { .. } => "joined",
        Message::Attached { .. } => "attached",
        Message::PushAnswer { .. } => "push_answer",
        Message::PullAnswer { .. } => "pull_answer",
        Message::Deferred { .. } => "deferred",
        Message::Resume { .. } => "resume",
        Message::TickAnswer { .. } => "tick_answer",
        Message::Withheld { .. } => "withheld",
        Message::LeaveAnswer { .. } => "leave_answer",
        Message::Record(_) => "record",
        Message::RecordHeld { .. } => "record_held",
        Message::Fence { .. } => "fence",
        Message::Fenced { .. } => "fenced",
        Message::EnsureTable { .. } => "ensure_table",
        Message::EnsureGroup { .. } => "ensure_group",
        Message::ListTables { .. } => "list_tables",
        Message::TableEnsured { .. } => "table_ensured",
        Message::GroupEnsured { .. } => "group_ensured",
        Message::Tables { .. } => "tables",
        Message::ChangeTable { .. } => "change_table",
        Message::DropTable { .. } => "drop_table",
        Message::TableChanged { .. } => "table_changed",
        Message::TableDropped { .. } => "table_dropped",
        Message::CatalogEntry { .. } => "catalog_entry",
        Message::Mirror { message, .. } => match message {
            MirrorMessage::Update { .. } => "mirror_update",
            MirrorMessage::Confirm { .. } => "mirror_confirm",
            MirrorMessage::Clock { .. } => "mirror_clock",
            MirrorMessage::Open { .. } => "mirror_open",
            MirrorMessage::Barrier { .. } => "mirror_barrier",
            MirrorMessage::Digest { .. } => "mirror_digest",
            MirrorMessage::Same { .. } => "mirror_same",
            MirrorMessage::Differs { .. } => "mirror_differs",
            MirrorMessage::Assign { .. } => "mirror_assign",
            MirrorMessage::Arrived { .. } => "mirror_arrived",
        },
        Message::CatalogHeld { .. } => "catalog_held",
    }
}
