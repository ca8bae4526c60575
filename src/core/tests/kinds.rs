//! What an order, a message or an answer is.

use crate::core::action::ChildOrder;
use crate::core::id::{Offset, ReplId};
use crate::core::message::{PeerAnswer, PeerMessage};
use crate::core::seen::Failure;

pub fn is_lead(order: &ChildOrder) -> bool {
    matches!(order, ChildOrder::Lead)
}
pub fn is_follow(order: &ChildOrder) -> bool {
    matches!(order, ChildOrder::Follow { .. })
}
pub fn is_release(order: &ChildOrder) -> bool {
    matches!(order, ChildOrder::Release { .. })
}
pub fn is_take_back(order: &ChildOrder) -> bool {
    matches!(order, ChildOrder::TakeBack)
}
pub fn is_unfence(order: &ChildOrder) -> bool {
    matches!(order, ChildOrder::Unfence)
}
/// Anything after which writers are served again.
pub fn lets_writers_go(order: &ChildOrder) -> bool {
    matches!(order, ChildOrder::Unfence | ChildOrder::TakeBack)
}
pub fn is_fence(order: &ChildOrder) -> bool {
    matches!(order, ChildOrder::Fence)
}
pub fn is_dismiss(order: &ChildOrder) -> bool {
    matches!(order, ChildOrder::Dismiss)
}
pub fn is_quicken(order: &ChildOrder) -> bool {
    matches!(order, ChildOrder::Quicken)
}
pub fn is_unquicken(order: &ChildOrder) -> bool {
    matches!(order, ChildOrder::Unquicken)
}
pub fn is_spawn(order: &ChildOrder) -> bool {
    matches!(order, ChildOrder::Spawn(_))
}
pub fn is_terminate(order: &ChildOrder) -> bool {
    matches!(order, ChildOrder::Terminate)
}
pub fn is_kill(order: &ChildOrder) -> bool {
    matches!(order, ChildOrder::Kill)
}
pub fn asks_release(message: &PeerMessage) -> bool {
    matches!(message, PeerMessage::Release { .. })
}
pub fn asks_consent(message: &PeerMessage) -> bool {
    matches!(message, PeerMessage::Consent { .. })
}
pub fn asks_led(message: &PeerMessage) -> bool {
    matches!(message, PeerMessage::AskLed { .. })
}
pub fn tells_led(message: &PeerMessage) -> bool {
    matches!(message, PeerMessage::Led { .. })
}
pub fn tells_lead(message: &PeerMessage) -> bool {
    matches!(message, PeerMessage::Lead { .. })
}
pub fn quickens(message: &PeerMessage) -> bool {
    matches!(message, PeerMessage::Quicken { .. })
}
pub fn steers(message: &PeerMessage) -> bool {
    matches!(message, PeerMessage::Priority { .. })
}
pub fn is_no(answer: &PeerAnswer) -> bool {
    matches!(answer, PeerAnswer::No { .. })
}
pub fn released(offset: u64) -> Result<PeerAnswer, Failure> {
    Ok(PeerAnswer::Released { offset: Offset(offset), history: ReplId::from("h1") })
}
pub fn no() -> Result<PeerAnswer, Failure> {
    Ok(PeerAnswer::No { reason: "no".into() })
}
